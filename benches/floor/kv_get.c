// kv_get: the client that one would write by hand for nothing but GETs of 16-byte values.
//
//   kv_get redis|memcached --port P --seconds S [--window 64] [--batch 0] [--poll-us 0]
//
// One connection, `window` requests on their way in a closed loop: each answer begins the next
// request, and what one read begins leaves in one send. All requests and answers have the same
// length, so there is no parser; every answer is compared. Memcached is spoken to in its meta
// protocol.
//
// --batch: send as soon as that many requests have been begun, so that the server has something to
// do while the rest of the answers is looked at; 0: only at the end of a read.
//
// --poll-us: for how long to try receiving again before going to sleep. Waking a processor that
// has gone to sleep takes longer than a dozen of requests.

#define _GNU_SOURCE

#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum {
    window_max = 4096,
    message_max = 128,
    setup_bytes_max = 32,
};

struct protocol {
    const char* name;
    const char* set;      // a printf format: key, value
    const char* set_end;  // what the server answers
    const char* get;      // a printf format: key
    const char* head;     // of an answer to it, before the value
};

static const struct protocol redis = {"redis",
                                      "*3\r\n$3\r\nSET\r\n$16\r\n%.16s\r\n$16\r\n%.16s\r\n",
                                      "+OK\r\n", "*2\r\n$3\r\nGET\r\n$16\r\n%.16s\r\n", "$16\r\n"};
static const struct protocol memcached = {"memcached", "ms %.16s 16\r\n%.16s\r\n", "HD\r\n",
                                          "mg %.16s v\r\n", "VA 16\r\n"};

struct options {
    struct target target;
    double seconds;
    double poll_us;
    int window;
    int batch;
};

struct client {
    const struct options* options;
    int fd;
    size_t request_bytes, head_bytes, answer_bytes;
    char requests[entries][message_max];
    char in[window_max * message_max], out[window_max * message_max];
    size_t received, to_send;
    size_t to_send_max;  // more than that is sent at once
    int begun, ended;    // numbers of entries
};

// --- before ---

static void store(struct client* client, const struct protocol* protocol, int number) {
    const struct entry* entry = entry_of(number);
    char text[message_max], answer[setup_bytes_max];
    const int bytes = snprintf(text, sizeof text, protocol->set, entry->key, entry->value);
    const size_t wanted = strlen(protocol->set_end);
    if (send(client->fd, text, (size_t)bytes, MSG_NOSIGNAL) != bytes) fail_errno("send", errno);
    if (recv(client->fd, answer, wanted, MSG_WAITALL) != (ssize_t)wanted ||
        memcmp(answer, protocol->set_end, wanted) != 0)
        fail("the server does not store '%.*s'", text_bytes, entry->key);
}

static void open_client(struct client* client, const struct protocol* protocol) {
    client->fd = connect_to(&client->options->target);
    client->head_bytes = strlen(protocol->head);
    client->answer_bytes = client->head_bytes + text_bytes + 2;
    for (int i = 0; i < entries; i++) {
        store(client, protocol, i);
        client->request_bytes =
            (size_t)snprintf(client->requests[i], message_max, protocol->get, entry_of(i)->key);
    }
}

// --- the loop ---

static void begin_request(struct client* client) {
    memcpy(client->out + client->to_send, client->requests[client->begun], client->request_bytes);
    client->to_send += client->request_bytes;
    client->begun = (client->begun + 1) % entries;
}

// Requests are far smaller than the socket's buffer, as many as there are.
static void send_requests(struct client* client) {
    if (send(client->fd, client->out, client->to_send, MSG_NOSIGNAL) != (ssize_t)client->to_send)
        fail_errno("send", errno);
    client->to_send = 0;
}

// Returns when there is something to look at.
static void receive_some(struct client* client) {
    const uint64_t polls_ns = (uint64_t)(client->options->poll_us * 1000);
    uint64_t began = 0;
    for (;;) {
        const size_t got = receive_now(client->fd, client->in + client->received,
                                       sizeof client->in - client->received);
        client->received += got;
        if (got > 0) return;
        if (polls_ns > 0) {
            const uint64_t now = now_ns();
            if (began == 0) began = now;
            if (now - began < polls_ns) continue;
        }
        struct pollfd socket = {.fd = client->fd, .events = POLLIN};
        if (poll(&socket, 1, stall_seconds * 1000) == 0) fail("the server has stopped answering");
    }
}

// Takes what has arrived whole, and begins as many requests; returns their number.
static uint64_t take_answers(struct client* client) {
    uint64_t count = 0;
    size_t at = 0;
    for (; client->received - at >= client->answer_bytes; at += client->answer_bytes) {
        check_value(entry_of(client->ended), client->in + at + client->head_bytes, text_bytes);
        client->ended = (client->ended + 1) % entries;
        count++;
        begin_request(client);
        if (client->to_send >= client->to_send_max) send_requests(client);
    }
    memmove(client->in, client->in + at, client->received - at);
    client->received -= at;
    return count;
}

// The latency is that of one of the requests on their way; to look at each would cost too much.
static void run(struct client* client, struct meter* meter) {
    const uint64_t window = (uint64_t)client->options->window;
    uint64_t now = now_ns(), began = now, ended = 0;
    for (uint64_t i = 0; i < window; i++) begin_request(client);
    meter_begin(meter, client->options->seconds);
    while (meter_goes_on(meter, now)) {
        if (client->to_send > 0) send_requests(client);
        receive_some(client);
        const uint64_t count = take_answers(client);
        now = now_ns();
        ended += count;
        meter->requests += count;
        if (ended < window) continue;
        record(&meter->latency, now - began);
        began = now;
        ended -= window;
    }
}

// --- before and after ---

static struct options parse(int argc, char** argv) {
    static struct options options = {.target.address = "127.0.0.1", .seconds = 1, .window = 64};
    const struct option known[] = {
        {"--address", option_text, &options.target.address, 0, 0, NULL},
        {"--port", option_count, &options.target.port, 1, 65535, NULL},
        {"--seconds", option_number, &options.seconds, 0.01, seconds_max, NULL},
        {"--window", option_count, &options.window, 1, window_max, NULL},
        {"--batch", option_count, &options.batch, 0, window_max, NULL},
        {"--poll-us", option_number, &options.poll_us, 0, 1e6, NULL},
        {0},
    };
    parse_options(known,
                  "usage: kv_get redis|memcached --port P [--seconds 1] [--window 64]\n"
                  "              [--batch 0] [--poll-us 0] [--address 127.0.0.1]\n",
                  argc, argv);
    check_target(&options.target);
    return options;
}

static const struct protocol* protocol_of(int argc, char** argv) {
    if (argc > 1 && strcmp(argv[1], redis.name) == 0) return &redis;
    if (argc > 1 && strcmp(argv[1], memcached.name) == 0) return &memcached;
    fail("redis or memcached?");
}

int main(int argc, char** argv) {
    static struct client client;
    static struct meter meter;
    const struct protocol* protocol = protocol_of(argc, argv);
    const struct options options = parse(argc - 1, argv + 1);
    client.options = &options;
    open_client(&client, protocol);
    const int batch = options.batch ? options.batch : window_max + 1;
    client.to_send_max = (size_t)batch * client.request_bytes;
    run(&client, &meter);
    report(protocol->name, &meter);
    return 0;
}

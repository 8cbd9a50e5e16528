// echo_load: keeps an echo server busy over loopback and says how fast it answers.
//
// Closed loop: every connection has exactly one message in flight and sends the next one as soon
// as the reply has arrived and has been compared. One thread, so that a benchmark can pin it to
// one core. It polls and never sleeps: a load that sleeps must be woken by the server, and the
// wake-up, microseconds on a virtual machine, would be charged to the server at random. (Same
// medians, less spread.) It uses epoll, so that it runs wherever a server does.
//
// With --rate it is an open loop: requests fall due at even intervals, whatever the server does,
// and the connection that has been idle for longest takes each. A request waits while all of them
// are busy, and its latency counts from when it was due, so a server that falls behind cannot hide
// it by slowing the load down.
//
// Messages are slices of one table of random bytes, at an offset that depends on the connection
// and on the number of the message. A reply that is stale, shifted or meant for another
// connection therefore differs from what is expected, and nothing is copied to find out.

#define _GNU_SOURCE

#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    size_max = 1 << 20,
    reply_bytes_max = 1 << 30,  // all reply buffers together
    offsets = 4096,             // how many different messages there are
};

struct options {
    struct target target;
    int connections;
    int size;
    double seconds;
    double rate;  // requests per second over all connections; 0: a closed loop
    bool json;
};

struct connection {
    int fd;
    uint32_t offset;     // where in the table the message in flight begins
    uint64_t counts_ns;  // what its latency counts from: when it was begun, or when it was due
    size_t sent, received;
    unsigned char* reply;
    struct connection* next_idle;
};

struct load {
    struct options options;
    int epoll;
    struct connection* connections;
    unsigned char* table;
    uint64_t requests;
    uint64_t start_ns;
    uint64_t deadline_ns;
    uint64_t end_ns;  // when the last reply came
    struct histogram latency;
    int in_flight;
    // Of the open loop: how many requests have been begun, and who has none, longest idle first.
    uint64_t begun;
    struct connection* idle;
    struct connection** idle_end;
};

// --- one connection ---

static void send_rest(struct load* load, struct connection* connection) {
    const unsigned char* message = load->table + connection->offset;
    const size_t size = (size_t)load->options.size;
    while (connection->sent < size) {
        size_t sent = send_now(connection->fd, message + connection->sent, size - connection->sent);
        if (sent == 0) return;
        connection->sent += sent;
    }
}

static void receive_rest(struct load* load, struct connection* connection) {
    const size_t size = (size_t)load->options.size;
    while (connection->received < size) {
        size_t got = receive_now(connection->fd, connection->reply + connection->received,
                                 size - connection->received);
        if (got == 0) return;
        connection->received += got;
    }
}

static void begin_message(struct load* load, struct connection* connection, uint64_t counts_ns) {
    connection->offset = (connection->offset + 61) % offsets;
    connection->counts_ns = counts_ns;
    connection->sent = connection->received = 0;
    load->in_flight++;
    send_rest(load, connection);
}

static void be_idle(struct load* load, struct connection* connection) {
    connection->next_idle = NULL;
    *load->idle_end = connection;
    load->idle_end = &connection->next_idle;
}

static void end_message(struct load* load, struct connection* connection) {
    if (connection->sent != (size_t)load->options.size ||
        memcmp(connection->reply, load->table + connection->offset, connection->received) != 0)
        fail("a reply differs from its message");
    const uint64_t now = now_ns();
    record(&load->latency, now > connection->counts_ns ? now - connection->counts_ns : 0);
    load->requests++;
    load->in_flight--;
    load->end_ns = now;
    if (load->options.rate > 0)
        be_idle(load, connection);
    else if (now < load->deadline_ns)
        begin_message(load, connection, now);
}

// A message larger than the socket buffers only gets through if the reply is read meanwhile.
static void on_event(struct load* load, struct connection* connection) {
    if (connection->received == (size_t)load->options.size) return;  // idle: see check_silence()
    send_rest(load, connection);
    receive_rest(load, connection);
    if (connection->received == (size_t)load->options.size) end_message(load, connection);
}

// --- the loop ---

// Begins what is due, as far as somebody is idle. Returns whether there is more to come.
static bool begin_due(struct load* load, uint64_t now) {
    const double ns_each = 1e9 / load->options.rate;
    for (;;) {
        const uint64_t due_ns = load->start_ns + (uint64_t)((double)load->begun * ns_each);
        if (now >= load->deadline_ns || due_ns >= load->deadline_ns) return false;
        if (due_ns > now || !load->idle) return true;
        struct connection* connection = load->idle;
        load->idle = connection->next_idle;
        if (!load->idle) load->idle_end = &load->idle;
        if (load->in_flight == 0) load->end_ns = now;  // from here on the server may stall
        load->begun++;
        begin_message(load, connection, due_ns);
    }
}

static void run(struct load* load) {
    static struct epoll_event events[events_max];
    const bool open_loop = load->options.rate > 0;
    bool more = open_loop;
    load->start_ns = load->end_ns = now_ns();
    load->deadline_ns = load->start_ns + (uint64_t)(load->options.seconds * 1e9);
    load->idle_end = &load->idle;
    for (int i = 0; i < load->options.connections; i++) {
        load->connections[i].received = (size_t)load->options.size;
        if (open_loop)
            be_idle(load, &load->connections[i]);
        else
            begin_message(load, &load->connections[i], now_ns());
    }

    while (more || load->in_flight > 0) {
        int count = poll_events(load->epoll, events);
        for (int i = 0; i < count; i++) on_event(load, events[i].data.ptr);
        if (more) more = begin_due(load, now_ns());
        if (count == 0 && load->in_flight > 0 &&
            now_ns() - load->end_ns > stall_seconds * ns_per_second)
            fail("the server has stopped answering");
    }
}

// Whatever is there now that every reply has been received was not asked for.
static void check_silence(const struct load* load) {
    for (int i = 0; i < load->options.connections; i++) {
        unsigned char byte;
        if (recv(load->connections[i].fd, &byte, 1, MSG_DONTWAIT) > 0)
            fail("the server sent more than it had received");
    }
}

// --- before and after ---

static void open_load(struct load* load) {
    const struct options* options = &load->options;
    raise_descriptor_limit();
    const size_t table_bytes = offsets + (size_t)options->size;
    load->table = checked(malloc(table_bytes));
    load->connections = checked(calloc((size_t)options->connections, sizeof *load->connections));
    unsigned char* replies = checked(malloc((size_t)options->connections * (size_t)options->size));
    fill_random(load->table, table_bytes);

    load->epoll = open_epoll();
    for (int i = 0; i < options->connections; i++) {
        struct connection* connection = &load->connections[i];
        connection->fd = connect_to(&options->target);
        connection->offset = (uint32_t)i * 7919u % offsets;
        connection->reply = replies + (size_t)i * (size_t)options->size;
        // Nothing has been received that was not asked for, so edges are enough.
        watch(load->epoll, connection->fd, EPOLLIN | EPOLLOUT | EPOLLET, connection);
    }
}

static uint64_t backlog(const struct load* load) {
    const double due = load->options.rate * load->options.seconds;
    return due > (double)load->begun ? (uint64_t)due - load->begun : 0;
}

static void report(const struct load* load) {
    const struct options* options = &load->options;
    const double seconds = (double)(load->end_ns - load->start_ns) / 1e9;
    const double rate = seconds > 0 ? (double)load->requests / seconds : 0;
    if (options->json) {
        printf("{\"connections\": %d, \"size\": %d, \"seconds\": %.3f, \"requests\": %" PRIu64
               ", \"requests_per_second\": %.0f, ",
               options->connections, options->size, seconds, load->requests, rate);
        if (options->rate > 0)
            printf("\"rate\": %.10g, \"backlog\": %" PRIu64 ", ", options->rate, backlog(load));
        print_latency_json(&load->latency);
        printf("}\n");
        return;
    }
    printf("%d connections, %d bytes, %.2f s\n", options->connections, options->size, seconds);
    printf("%" PRIu64 " requests, %.0f requests/s\n", load->requests, rate);
    if (options->rate > 0)
        printf("%.10g requests/s were due; %" PRIu64 " of them were never sent\n", options->rate,
               backlog(load));
    print_latency(&load->latency);
}

static struct options parse(int argc, char** argv) {
    static struct options options = {
        .target.address = "127.0.0.1", .connections = 64, .size = 64, .seconds = 5};
    const struct option known[] = {
        {"--address", option_text, &options.target.address, 0, 0, NULL},
        {"--port", option_count, &options.target.port, 1, 65535, NULL},
        {"--connections", option_count, &options.connections, 1, connections_max, NULL},
        {"--size", option_count, &options.size, 1, size_max, NULL},
        {"--seconds", option_number, &options.seconds, 0.01, seconds_max, NULL},
        {"--rate", option_number, &options.rate, 1, 1e9, NULL},
        {"--json", option_flag, &options.json, 0, 0, NULL},
        {0},
    };
    parse_options(known,
                  "usage: echo_load --port P [--connections 64] [--size 64] [--seconds 5]\n"
                  "                 [--rate REQUESTS_PER_SECOND] [--address 127.0.0.1] [--json]\n",
                  argc, argv);
    check_target(&options.target);
    if ((int64_t)options.connections * options.size > reply_bytes_max)
        wrong_usage("connections times size is limited to 1 GiB");
    return options;
}

int main(int argc, char** argv) {
    static struct load load;
    load.options = parse(argc, argv);
    open_load(&load);
    run(&load);
    check_silence(&load);
    report(&load);
    return 0;
}

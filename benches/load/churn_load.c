// churn_load: keeps a server busy with connections that live for one message.
//
// Each of N slots connects, sends 64 bytes, receives them back, compares them, closes and begins
// again. It closes by a reset: no side keeps the port in TIME_WAIT, so a long run does not run out
// of ports. A latency is that of a whole life, from the connect to the last byte of the echo.
//
// Like echo_load it is one thread that polls, and every act is tried before anybody waits. On
// loopback the connection is usually established when connect() returns, so the message is sent
// at once, and epoll is asked only for the echo.

#define _GNU_SOURCE

#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    message_bytes = 64,
    offsets = 4096,  // how many different messages there are
};

struct options {
    struct target target;
    int slots;
    double seconds;
    bool json;
};

struct slot {
    int fd;
    uint32_t offset;  // where in the table its message begins
    uint64_t begun_ns;
    size_t sent, received;
    unsigned char echo[message_bytes];
};

struct load {
    struct options options;
    int epoll;
    struct slot* slots;
    unsigned char table[offsets + message_bytes];
    uint64_t connections;
    uint64_t start_ns, deadline_ns;
    uint64_t end_ns;  // when the last echo was complete
    struct histogram latency;
    int alive;
};

static void send_rest(struct load* load, struct slot* slot) {
    while (slot->sent < message_bytes) {
        size_t sent =
            send_now(slot->fd, load->table + slot->offset + slot->sent, message_bytes - slot->sent);
        if (sent == 0) return;  // not connected yet, as a rule
        slot->sent += sent;
    }
}

static void begin_life(struct load* load, struct slot* slot, uint64_t now) {
    slot->offset = (slot->offset + 61) % offsets;
    slot->begun_ns = now;
    slot->sent = slot->received = 0;
    slot->fd = begin_connect(&load->options.target);
    load->alive++;
    send_rest(load, slot);
    const uint32_t more = slot->sent < message_bytes ? EPOLLOUT : 0;
    watch(load->epoll, slot->fd, EPOLLIN | EPOLLET | more, slot);
}

static void end_life(struct load* load, struct slot* slot) {
    if (memcmp(slot->echo, load->table + slot->offset, message_bytes) != 0)
        fail("an echo differs from its message");
    const uint64_t now = now_ns();
    record(&load->latency, now - slot->begun_ns);
    load->connections++;
    load->end_ns = now;
    load->alive--;
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(slot->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(slot->fd);
    if (now < load->deadline_ns) begin_life(load, slot, now);
}

// One byte more than the message is asked for, to see whether there is more than there should be.
static void on_event(struct load* load, struct slot* slot) {
    send_rest(load, slot);
    if (slot->sent < message_bytes) return;
    unsigned char bytes[message_bytes + 1];
    const size_t room = sizeof bytes - slot->received;
    size_t got = receive_now(slot->fd, bytes, room);
    if (slot->received + got > message_bytes) fail("an echo is longer than its message");
    memcpy(slot->echo + slot->received, bytes, got);
    slot->received += got;
    if (slot->received == message_bytes) end_life(load, slot);
}

static void run(struct load* load) {
    static struct epoll_event events[events_max];
    load->start_ns = load->end_ns = now_ns();
    load->deadline_ns = load->start_ns + (uint64_t)(load->options.seconds * 1e9);
    for (int i = 0; i < load->options.slots; i++) begin_life(load, &load->slots[i], now_ns());

    while (load->alive > 0) {
        int count = poll_events(load->epoll, events);
        for (int i = 0; i < count; i++) on_event(load, events[i].data.ptr);
        if (count == 0 && now_ns() - load->end_ns > stall_seconds * ns_per_second)
            fail("the server has stopped answering");
    }
}

static void open_load(struct load* load) {
    raise_descriptor_limit();
    fill_random(load->table, sizeof load->table);
    load->slots = checked(calloc((size_t)load->options.slots, sizeof *load->slots));
    for (int i = 0; i < load->options.slots; i++)
        load->slots[i].offset = (uint32_t)i * 7919u % offsets;
    load->epoll = open_epoll();
    close(connect_to(&load->options.target));  // says clearly when there is no server
}

static void report(const struct load* load) {
    const struct options* options = &load->options;
    const double seconds = (double)(load->end_ns - load->start_ns) / 1e9;
    const double rate = seconds > 0 ? (double)load->connections / seconds : 0;
    if (options->json) {
        printf("{\"slots\": %d, \"seconds\": %.3f, \"connections\": %" PRIu64
               ", \"connections_per_second\": %.0f, ",
               options->slots, seconds, load->connections, rate);
        print_latency_json(&load->latency);
        printf("}\n");
        return;
    }
    printf("%d connections at a time, %.2f s\n", options->slots, seconds);
    printf("%" PRIu64 " connections, %.0f connections/s\n", load->connections, rate);
    print_latency(&load->latency);
}

static struct options parse(int argc, char** argv) {
    static struct options options = {.target.address = "127.0.0.1", .slots = 64, .seconds = 5};
    const struct option known[] = {
        {"--address", option_text, &options.target.address, 0, 0, NULL},
        {"--port", option_count, &options.target.port, 1, 65535, NULL},
        {"--connections", option_count, &options.slots, 1, connections_max, NULL},
        {"--seconds", option_number, &options.seconds, 0.01, seconds_max, NULL},
        {"--json", option_flag, &options.json, 0, 0, NULL},
        {0},
    };
    parse_options(known,
                  "usage: churn_load --port P [--connections 64] [--seconds 5] [--json]\n"
                  "                  [--address 127.0.0.1]\n",
                  argc, argv);
    check_target(&options.target);
    return options;
}

int main(int argc, char** argv) {
    static struct load load;
    load.options = parse(argc, argv);
    open_load(&load);
    run(&load);
    report(&load);
    return 0;
}

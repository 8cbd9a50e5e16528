// tls_load: keeps a TLS server busy over loopback. --mode says with what:
//
//   echo        every connection has one message in flight, as with echo_load. --clear does the
//               same without TLS, so that what TLS adds can be told.
//   receive     asks the server for blocks of 1 MiB and receives them in records
//   send        sends records; the server says with a byte that it has received 1 MiB
//   handshakes  connects, shakes hands, ends well and begins again. --resume: with the newest
//               ticket of the same slot. Over it is when both sides know so: with TLS 1.3 a ticket
//               has come, which a server sends once it has heard the client's end of the handshake.
//
// Closed loops all, and one thread that polls and never sleeps, for the reasons that echo_load.c
// gives. Every byte that comes is compared with what it has to be. TLS 1.3 with AES-256-GCM unless
// --tls12 asks for TLS 1.2.

#define _GNU_SOURCE

#include "load.h"
#include "tls_peer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    record_bytes = 16 * 1024,
    block_bytes = 1 << 20,  // as the servers have it
    blocks_in_flight = 2,
    offsets = 4096,  // how many different messages there are
};

enum mode { mode_echo, mode_receive, mode_send, mode_handshakes };

struct options {
    struct target target;
    int mode;
    int connections;
    int size;  // of a message
    double seconds;
    bool clear, resume, tls12, json;
};

struct connection {
    struct tls_peer peer;
    uint64_t begun_ns;
    uint32_t offset;          // where in the table its message begins
    size_t moved;             // bytes of a message or of all blocks that came or were put
    size_t sent;              // of a clear message
    int asked;                // blocks that are on their way
    bool shaken, got_ticket;  // of this life
    SSL_SESSION* session;     // the newest
    unsigned char* reply;
};

struct load {
    struct options options;
    int epoll;
    SSL_CTX* context;
    struct connection* connections;
    unsigned char* table;
    uint64_t done;  // requests, records or handshakes
    uint64_t start_ns, deadline_ns, end_ns;
    struct histogram latency;
    int alive;  // connections that have something in flight
    bool counts;
};

// What bulk servers send, and are sent, again and again.
static unsigned char pattern[record_bytes];

static void fill_pattern(void) {
    for (int i = 0; i < record_bytes; i++) pattern[i] = (unsigned char)(i * 31 + i / 256);
}

static void count(struct load* load, struct connection* connection, uint64_t now) {
    record(&load->latency, now - connection->begun_ns);
    load->done++;
    load->end_ns = now;
}

// --- echo ---

static bool send_clear(struct load* load, struct connection* connection) {
    const size_t size = (size_t)load->options.size;
    while (connection->sent < size) {
        const size_t sent =
            send_now(connection->peer.fd, load->table + connection->offset + connection->sent,
                     size - connection->sent);
        if (sent == 0) return false;
        connection->sent += sent;
    }
    return true;
}

static void begin_message(struct load* load, struct connection* connection, uint64_t now) {
    connection->offset = (connection->offset + 61) % offsets;
    connection->begun_ns = now;
    connection->moved = connection->sent = 0;
    if (load->options.clear) {
        send_clear(load, connection);
        return;
    }
    tls_put(&connection->peer, load->table + connection->offset, (size_t)load->options.size);
    tls_flush(&connection->peer);
}

static void go_on_echo(struct load* load, struct connection* connection) {
    struct tls_peer* peer = &connection->peer;
    const size_t size = (size_t)load->options.size;
    if (connection->moved == size) return;  // over
    if (load->options.clear) send_clear(load, connection);
    tls_flush(peer);
    while (connection->moved < size) {
        unsigned char* into = connection->reply + connection->moved;
        const size_t room = size - connection->moved;
        const size_t got =
            load->options.clear ? receive_now(peer->fd, into, room) : tls_take(peer, into, room);
        if (peer->ended) fail("the server closed a connection");
        if (got == 0) return;
        connection->moved += got;
    }
    if (memcmp(connection->reply, load->table + connection->offset, size) != 0)
        fail("a reply differs from its message");
    const uint64_t now = now_ns();
    count(load, connection, now);
    if (now < load->deadline_ns)
        begin_message(load, connection, now);
    else
        load->alive--;
}

// --- bulk ---

static void end_block(struct load* load, struct connection* connection) {
    const uint64_t now = now_ns();
    record(&load->latency, now - connection->begun_ns);
    connection->begun_ns = now;
    load->done += block_bytes / record_bytes;
    load->end_ns = now;
    connection->asked--;
}

// The first block is moved however little time there is.
static bool begins_a_block(const struct load* load, const struct connection* connection) {
    return connection->moved == 0 || now_ns() < load->deadline_ns;
}

static void ask_for_blocks(struct load* load, struct connection* connection) {
    while (connection->asked < blocks_in_flight && begins_a_block(load, connection)) {
        tls_put(&connection->peer, "m", 1);
        connection->asked++;
    }
    tls_flush(&connection->peer);
    if (connection->asked == 0) load->alive--;
}

static void go_on_receiving(struct load* load, struct connection* connection) {
    static unsigned char bytes[record_bytes];
    struct tls_peer* peer = &connection->peer;
    if (connection->asked == 0) return;
    tls_flush(peer);
    size_t got;
    while ((got = tls_take(peer, bytes, sizeof bytes)) > 0) {
        for (size_t i = 0; i < got;) {
            const size_t at = (connection->moved + i) % record_bytes;
            const size_t n = got - i < record_bytes - at ? got - i : record_bytes - at;
            if (memcmp(bytes + i, pattern + at, n) != 0) fail("a record differs from its block");
            i += n;
        }
        const size_t before = connection->moved / block_bytes;
        connection->moved += got;
        if (connection->moved / block_bytes == before) continue;
        if (connection->asked == 0) fail("the server sent more than it was asked for");
        end_block(load, connection);
        ask_for_blocks(load, connection);
        if (connection->asked == 0) return;
    }
    if (peer->ended) fail("the server closed a connection");
}

static void go_on_sending(struct load* load, struct connection* connection) {
    struct tls_peer* peer = &connection->peer;
    if (connection->moved > 0 && connection->asked == 0) return;  // over
    unsigned char answers[blocks_in_flight + 1];
    size_t got;
    while ((got = tls_take(peer, answers, sizeof answers)) > 0) {
        if (got > (size_t)connection->asked) fail("the server has received more than was sent");
        for (size_t i = 0; i < got; i++) end_block(load, connection);
    }
    if (peer->ended) fail("the server closed a connection");
    while (tls_flush(peer)) {
        if (connection->moved % block_bytes == 0) {  // a block begins
            if (connection->asked == blocks_in_flight) return;
            if (!begins_a_block(load, connection)) {
                if (connection->asked == 0) load->alive--;
                return;
            }
            connection->asked++;
        }
        tls_put(peer, pattern, record_bytes);
        connection->moved += record_bytes;
    }
}

// --- handshakes ---

static int keep_ticket(SSL* ssl, SSL_SESSION* session) {
    struct connection* connection = SSL_get_app_data(ssl);
    if (!connection) return 0;
    SSL_SESSION_free(connection->session);
    connection->session = session;
    connection->got_ticket = true;
    return 1;  // it is ours
}

static void begin_life(struct load* load, struct connection* connection) {
    SSL_SESSION* session = load->options.resume ? connection->session : NULL;
    connection->begun_ns = now_ns();
    connection->shaken = connection->got_ticket = false;
    tls_begin(&connection->peer, load->context, begin_connect(&load->options.target), session,
              connection);
    tls_shake_hands(&connection->peer);
    watch(load->epoll, connection->peer.fd, EPOLLIN | EPOLLOUT | EPOLLET, connection);
}

static void check_resumption(const struct load* load, const struct connection* connection) {
    const bool resumed = SSL_session_reused(connection->peer.ssl) == 1;
    if (resumed && !load->options.resume) fail("a full handshake was a resumption");
    if (!resumed && load->options.resume && load->counts) fail("a session was not resumed");
}

static void go_on_shaking_hands(struct load* load, struct connection* connection) {
    struct tls_peer* peer = &connection->peer;
    if (!connection->shaken) {
        if (!tls_shake_hands(peer)) return;
        unsigned char none;
        if (!load->options.tls12 && !connection->got_ticket) {
            if (tls_take(peer, &none, 1) > 0) fail("the server said what it was not asked for");
            if (peer->ended) fail("the server closed a connection");
            if (!connection->got_ticket) return;
        }
        check_resumption(load, connection);
        connection->shaken = true;
        if (load->counts) count(load, connection, now_ns());
        tls_end(peer);
    }
    unsigned char none;
    if (!peer->ended && tls_take(peer, &none, 1) > 0)
        fail("the server said what it was not asked for");
    if (!peer->ended) return;
    tls_close(peer);
    if (load->counts && now_ns() < load->deadline_ns)
        begin_life(load, connection);
    else
        load->alive--;
}

// --- the loop ---

static void go_on(struct load* load, struct connection* connection) {
    switch (load->options.mode) {
        case mode_echo: go_on_echo(load, connection); break;
        case mode_receive: go_on_receiving(load, connection); break;
        case mode_send: go_on_sending(load, connection); break;
        case mode_handshakes: go_on_shaking_hands(load, connection); break;
    }
}

static void poll_until_over(struct load* load) {
    static struct epoll_event events[events_max];
    uint64_t heard_ns = now_ns();
    while (load->alive > 0) {
        const int count = poll_events(load->epoll, events);
        for (int i = 0; i < count; i++) go_on(load, events[i].data.ptr);
        if (count > 0)
            heard_ns = now_ns();
        else if (now_ns() - heard_ns > stall_seconds * ns_per_second)
            fail("the server has stopped answering");
    }
}

static void begin(struct load* load, struct connection* connection) {
    switch (load->options.mode) {
        case mode_echo: begin_message(load, connection, now_ns()); break;
        case mode_receive: ask_for_blocks(load, connection); break;
        case mode_send: go_on_sending(load, connection); break;
        case mode_handshakes: begin_life(load, connection); break;
    }
}

static void begin_all(struct load* load) {
    load->alive = load->options.connections;
    for (int i = 0; i < load->options.connections; i++) {
        load->connections[i].begun_ns = now_ns();
        begin(load, &load->connections[i]);
    }
}

static void run(struct load* load) {
    if (load->options.mode == mode_handshakes && load->options.resume) {
        begin_all(load);  // each slot has its first ticket, of which nothing is counted
        poll_until_over(load);
    }
    load->counts = true;
    load->start_ns = load->end_ns = now_ns();
    load->deadline_ns = load->start_ns + (uint64_t)(load->options.seconds * 1e9);
    begin_all(load);
    poll_until_over(load);
}

// --- before and after ---

static void open_load(struct load* load) {
    const struct options* options = &load->options;
    raise_descriptor_limit();
    fill_pattern();
    const size_t size = (size_t)options->size, table_bytes = offsets + size;
    load->table = checked(malloc(table_bytes));
    fill_random(load->table, table_bytes);
    load->connections = checked(calloc((size_t)options->connections, sizeof *load->connections));
    load->epoll = open_epoll();
    load->context = tls_client(options->tls12 ? TLS1_2_VERSION : TLS1_3_VERSION,
                               options->mode == mode_handshakes ? keep_ticket : NULL);
    if (options->mode == mode_handshakes) {
        struct tls_peer probe;  // says clearly when there is no server
        tls_open(&probe, &options->target, load->context);
        tls_close(&probe);
        return;
    }
    unsigned char* replies = checked(malloc((size_t)options->connections * size));
    for (int i = 0; i < options->connections; i++) {
        struct connection* connection = &load->connections[i];
        connection->offset = (uint32_t)i * 7919u % offsets;
        connection->reply = replies + (size_t)i * size;
        tls_open(&connection->peer, &options->target, options->clear ? NULL : load->context);
        watch(load->epoll, connection->peer.fd, EPOLLIN | EPOLLOUT | EPOLLET, connection);
    }
}

static void report(const struct load* load) {
    static const char* const names[] = {"requests", "records", "records", "handshakes"};
    const struct options* options = &load->options;
    const char* name = names[options->mode];
    const double seconds = (double)(load->end_ns - load->start_ns) / 1e9;
    const double rate = seconds > 0 ? (double)load->done / seconds : 0;
    if (options->json) {
        printf("{\"connections\": %d, \"seconds\": %.3f, \"%s\": %" PRIu64
               ", \"%s_per_second\": %.0f, ",
               options->connections, seconds, name, load->done, name, rate);
        print_latency_json(&load->latency);
        printf("}\n");
        return;
    }
    printf("%d connections, %.2f s\n%" PRIu64 " %s, %.0f a second\n", options->connections, seconds,
           load->done, name, rate);
    print_latency(&load->latency);
}

static struct options parse(int argc, char** argv) {
    static const char* const modes[] = {"echo", "receive", "send", "handshakes", NULL};
    static struct options options = {
        .target.address = "127.0.0.1", .connections = 64, .size = 64, .seconds = 5};
    const struct option known[] = {
        {"--address", option_text, &options.target.address, 0, 0, NULL},
        {"--port", option_count, &options.target.port, 1, 65535, NULL},
        {"--mode", option_choice, &options.mode, 0, 0, modes},
        {"--connections", option_count, &options.connections, 1, connections_max, NULL},
        {"--size", option_count, &options.size, 1, record_bytes, NULL},
        {"--seconds", option_number, &options.seconds, 0.01, seconds_max, NULL},
        {"--clear", option_flag, &options.clear, 0, 0, NULL},
        {"--resume", option_flag, &options.resume, 0, 0, NULL},
        {"--tls12", option_flag, &options.tls12, 0, 0, NULL},
        {"--json", option_flag, &options.json, 0, 0, NULL},
        {0},
    };
    parse_options(
        known,
        "usage: tls_load --port P [--mode echo|receive|send|handshakes] [--size 64]\n"
        "                [--connections 64] [--seconds 5] [--clear] [--resume] [--tls12]\n"
        "                [--address 127.0.0.1] [--json]\n",
        argc, argv);
    check_target(&options.target);
    if (options.clear && options.mode != mode_echo) wrong_usage("--clear is for --mode echo");
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

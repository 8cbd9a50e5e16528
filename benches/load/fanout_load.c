// fanout_load: publishes on C channels to S subscribers each, over loopback, compares every byte of
// every delivery and says how many there were per second and how long they took.
//
// A pub/sub server delivers many small messages per system call, so the load must spend next to
// nothing on each of them, or it would measure itself. One thread polls and never sleeps
// (echo_load.c says why). All messages have the same length and message n is message n % 4096, so
// whatever a connection carries is a periodic stream that is rendered beforehand (fanout_wire.h):
// a publisher sends a slice of its table, a subscriber's block is one memcmp() with a slice of its.
// A delivery that is lost, repeated, out of order, altered or meant for another channel differs
// from what is expected at that place; only then is it looked at more closely.
//
// Closed loop: a channel has at most W messages on their way, published and not yet received by the
// slowest of its subscribers. At the end of each turn of the loop a publisher sends, in one call,
// what its window allows. With --rate it is an open loop: messages fall due at even intervals,
// whatever the server does, and a latency counts from when the message was due.
//
// Invariants:
//  1. A connection's place in its stream is `received` bytes; `at` is the same, modulo the period.
//     Nothing is kept of a block but these, also when it ends within a message.
//  2. In the closed loop slowest <= whole messages of each subscriber <= published <= slowest +
//     window, and window < numbers / 2: so a number tells which of the messages on their way it is,
//     and reached[n % numbers] counts the subscribers that have exactly n messages. In the open
//     loop more may be on their way; what numbers cannot tell then, the totals at the end do.
//  3. Every message that is counted as published reaches all subscribers before the report: after
//     the time is over nothing is published, and all of it must arrive.

#define _GNU_SOURCE

#include "fanout_wire.h"
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    window_max = numbers / 2 - 1,
    block_bytes = 256 * 1024,
    sample_every = 17,  // of a subscriber's messages; a prime, so that it walks through batches
    drain_seconds = 5,  // what has not arrived this long after the end has been lost
    silence_ms = 20,    // how long we listen for what was not asked for, at the end
    table_bytes_max = 1 << 30,
};

struct options {
    struct target target;
    int protocol;  // an enum protocol
    int channels;
    int subscribers;  // of each channel
    int window;
    int size;
    double seconds;
    double rate;  // messages per second and publisher; 0: a closed loop
    bool json;
};

struct channel;

struct connection {
    int fd;
    bool publishes;
    struct channel* channel;
    const struct stream* expected;
    uint64_t received;     // bytes of that stream
    size_t at;             // received % expected->period
    uint64_t messages;     // of a subscriber: how many are complete
    uint64_t next_sample;  // the number of the next message whose latency is recorded
    size_t ping;           // how much of a NATS server's PING has been read
    int pongs;             // what a publisher still owes for it
};

struct channel {
    int number;
    struct channel_streams streams;
    struct connection publisher;
    struct connection* subscribers;
    uint64_t published;  // messages; `sent` bytes of them have left
    uint64_t sent;
    uint64_t slowest;  // messages that every subscriber has
    bool blocked;      // until there is room in the publisher's socket
    bool moved;        // a subscriber received something in this turn
    double first_due_ns;
    uint32_t reached[numbers];
    uint64_t published_ns[numbers];
};

struct load {
    struct options options;
    int epoll;
    struct channel* channels;
    uint64_t published, deliveries;
    uint64_t start_ns, end_ns;
    uint64_t progress_ns;  // of the last delivery, or when there began to be something to wait for
    uint64_t deliveries_end;  // how many there were at end_ns
    struct histogram latency;
    unsigned char block[block_bytes];
};

static struct load load;

static const char ping[] = "PING\r\n", pong[] = "PONG\r\n";

// --- what went wrong ---

static int subscriber_number(const struct connection* connection) {
    return (int)(connection - connection->channel->subscribers);
}

struct quoted {
    char text[81];
};

// Copies what is printable, so that a sentence stays one.
static struct quoted quote(const unsigned char* bytes, size_t count) {
    struct quoted copy;
    size_t used = 0;
    for (; used < count && used < sizeof copy.text - 1; used++)
        copy.text[used] = bytes[used] >= ' ' && bytes[used] < 127 ? (char)bytes[used] : '.';
    copy.text[used] = '\0';
    return copy;
}

// Waits a little for the rest of a message that is wrong already, to say what it is.
static size_t receive_rest(int fd, unsigned char* bytes, size_t count) {
    size_t used = 0;
    while (used < count) {
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        if (poll(&readable, 1, 200) <= 0) break;
        ssize_t got = recv(fd, bytes + used, count - used, MSG_DONTWAIT);
        if (got <= 0) break;
        used += (size_t)got;
    }
    return used;
}

// `bytes` differ at once from what the connection expects next. Says in what manner, and fails.
_Noreturn static void explain(struct connection* connection, const unsigned char* bytes,
                              size_t count) {
    const struct stream* stream = connection->expected;
    const int channel = connection->channel->number;
    if (stream->unit == 0)
        fail("the publisher of c%d was told '%s'", channel, quote(bytes, count).text);

    // What came of this unit before was right, so the table has it.
    unsigned char unit[unit_bytes_max];
    const size_t begun = connection->at % stream->unit;
    memcpy(unit, stream->bytes + connection->at - begun, begun);
    const size_t here = count < stream->unit - begun ? count : stream->unit - begun;
    memcpy(unit + begun, bytes, here);
    size_t used = begun + here;
    used += receive_rest(connection->fd, unit + used, stream->unit - used);
    if (connection->publishes)
        fail("a PUBLISH of c%d was answered '%s' and not '%s'", channel, quote(unit, used).text,
             quote(stream->bytes, stream->unit).text);

    const uint64_t wanted = connection->received / stream->unit;
    uint64_t ahead = numbers;  // by how much the message that came is ahead, modulo numbers
    for (uint64_t i = 0; i < numbers && used == stream->unit; i++) {
        const uint64_t number = (wanted + i) % numbers;
        if (memcmp(unit, stream->bytes + number * stream->unit, stream->unit) == 0) ahead = i;
    }
    const int who = subscriber_number(connection);
    if (ahead < numbers / 2)
        fail("lost or reordered: subscriber %d of c%d received message %" PRIu64 " when %" PRIu64
             " was next",
             who, channel, wanted + ahead, wanted);
    if (ahead < numbers && wanted + ahead >= numbers)
        fail("repeated or reordered: subscriber %d of c%d received message %" PRIu64
             " when %" PRIu64 " was next",
             who, channel, wanted + ahead - numbers, wanted);
    fail("altered: subscriber %d of c%d received '%s' in message %" PRIu64, who, channel,
         quote(unit, used).text, wanted);
}

// --- receiving ---

static uint64_t due_ns(const struct channel* channel, uint64_t number) {
    return load.start_ns +
           (uint64_t)(channel->first_due_ns + (double)number * 1e9 / load.options.rate);
}

static void sample(struct connection* connection) {
    const struct channel* channel = connection->channel;
    const uint64_t now = now_ns();
    for (; connection->next_sample < connection->messages;
         connection->next_sample += sample_every) {
        const uint64_t number = connection->next_sample;
        const uint64_t since = load.options.rate > 0 ? due_ns(channel, number)
                                                     : channel->published_ns[number % numbers];
        record(&load.latency, now > since ? now - since : 0);
    }
}

// Counts the messages that have become complete.
static void advance(struct connection* connection) {
    struct channel* channel = connection->channel;
    const uint64_t before = connection->messages;
    const uint64_t after = connection->received / connection->expected->unit;
    if (after == before) return;
    if (after > channel->published)
        fail("repeated: subscriber %d of c%d received more than was published",
             subscriber_number(connection), channel->number);
    connection->messages = after;
    load.deliveries += after - before;
    channel->moved = true;
    channel->reached[before % numbers]--;
    channel->reached[after % numbers]++;
    if (connection->next_sample < after) sample(connection);
}

static void push(struct channel* channel);

// Reads the PING that a NATS server may say between two messages; `bytes` are where it begins or
// goes on. Returns how many of them it is, 0 when it is none.
static size_t take_ping(struct connection* connection, const unsigned char* bytes, size_t count) {
    const size_t whole = sizeof ping - 1;
    const struct stream* stream = connection->expected;
    const bool between = connection->publishes || connection->at % stream->unit == 0;
    if (load.options.protocol != protocol_nats || !between) return 0;
    const size_t left = whole - connection->ping;
    const size_t used = count < left ? count : left;
    if (memcmp(bytes, ping + connection->ping, used) != 0) return 0;
    connection->ping += used;
    if (connection->ping < whole) return used;
    connection->ping = 0;
    if (connection->publishes) {
        connection->pongs++;
        push(connection->channel);
    } else if (send_now(connection->fd, pong, sizeof pong - 1) != sizeof pong - 1) {
        fail("the server does not read the answer to its PING");
    }
    return used;
}

static size_t equal_bytes(const unsigned char* one, const unsigned char* other, size_t count) {
    size_t equal = 0;
    while (equal < count && one[equal] == other[equal]) equal++;
    return equal;
}

// Returns how many of `bytes` are what the connection expects next, and moves on by as many.
static size_t take_expected(struct connection* connection, const unsigned char* bytes,
                            size_t count) {
    const struct stream* stream = connection->expected;
    if (stream->unit == 0) return 0;
    const unsigned char* wanted = stream->bytes + connection->at;
    const size_t left = stream->period - connection->at;
    size_t same = count < left ? count : left;
    if (memcmp(bytes, wanted, same) != 0) same = equal_bytes(bytes, wanted, same);
    connection->received += same;
    connection->at += same;
    if (connection->at == stream->period) connection->at = 0;
    return same;
}

static void compare(struct connection* connection, const unsigned char* bytes, size_t count) {
    while (count > 0) {
        size_t used = connection->ping == 0 ? take_expected(connection, bytes, count) : 0;
        if (used == 0) used = take_ping(connection, bytes, count);
        if (used == 0) explain(connection, bytes, count);
        bytes += used;
        count -= used;
    }
}

static void receive(struct connection* connection, bool hung_up) {
    size_t got;
    do {
        got = receive_now(connection->fd, load.block, block_bytes);
        compare(connection, load.block, got);
    } while (got == block_bytes || (hung_up && got > 0));
    if (connection->publishes) {
        const struct channel* channel = connection->channel;
        if (connection->received > channel->published * connection->expected->unit)
            fail("the publisher of c%d was answered more often than it published", channel->number);
    } else {
        advance(connection);
    }
}

// A block that does not fill the space has emptied the socket: what comes later raises a new edge,
// and an end that was there already is told by EPOLLRDHUP.
static void on_event(const struct epoll_event* event) {
    struct connection* connection = event->data.ptr;
    const uint32_t hang_up = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if (connection->publishes && (event->events & EPOLLOUT)) connection->channel->blocked = false;
    if (event->events & (EPOLLIN | hang_up)) receive(connection, (event->events & hang_up) != 0);
}

// --- publishing ---

// Sends what is published and has not left yet. An owed PONG goes between two commands.
static void push(struct channel* channel) {
    const struct stream* commands = &channel->streams.commands;
    struct connection* publisher = &channel->publisher;
    const uint64_t goal = channel->published * commands->unit;
    while (!channel->blocked && (channel->sent < goal || publisher->pongs > 0)) {
        const size_t at = (size_t)(channel->sent % commands->period);
        const size_t begun = at % commands->unit;
        if (publisher->pongs > 0 && begun == 0) {
            if (send_now(publisher->fd, pong, sizeof pong - 1) == sizeof pong - 1)
                publisher->pongs--;
            else
                channel->blocked = true;  // so few bytes go as a whole or not at all
            continue;
        }
        size_t count = commands->period - at;
        if (publisher->pongs > 0) count = commands->unit - begun;
        if (count > goal - channel->sent) count = (size_t)(goal - channel->sent);
        const size_t sent = send_now(publisher->fd, commands->bytes + at, count);
        channel->sent += sent;
        if (sent < count) channel->blocked = true;
    }
}

static uint64_t outstanding(void) {
    return load.published * (uint64_t)load.options.subscribers - load.deliveries;
}

// How many messages of the channel may be published by now, all in all.
static uint64_t allowance(struct channel* channel, uint64_t now) {
    if (load.options.rate > 0) {
        uint64_t number = channel->published;
        while (due_ns(channel, number) <= now) number++;
        return number;
    }
    if (channel->moved) {
        channel->moved = false;
        while (channel->slowest < channel->published &&
               channel->reached[channel->slowest % numbers] == 0)
            channel->slowest++;
    }
    return channel->slowest + (uint64_t)load.options.window;
}

static void publish(struct channel* channel, uint64_t now) {
    const uint64_t allowed = allowance(channel, now);
    if (allowed > channel->published) {
        if (outstanding() == 0) load.progress_ns = now;  // from here on the server may stall
        load.published += allowed - channel->published;
        for (; channel->published < allowed; channel->published++)
            channel->published_ns[channel->published % numbers] = now;
    }
    push(channel);
}

// --- the loop ---

// One turn: all that has arrived, then all that may be published. Returns when it began.
static uint64_t turn(bool publishing) {
    static struct epoll_event events[events_max];
    const uint64_t now = now_ns();
    const uint64_t before = load.deliveries;
    int count = poll_events(load.epoll, events);
    for (int i = 0; i < count; i++) on_event(&events[i]);
    if (load.deliveries > before) load.progress_ns = now;
    const uint64_t later = count > 0 ? now_ns() : now;
    for (int i = 0; i < load.options.channels; i++) {
        if (publishing)
            publish(&load.channels[i], later);
        else
            push(&load.channels[i]);
    }
    if (count == 0 && outstanding() > 0 && now > load.progress_ns + stall_seconds * ns_per_second)
        fail("lost: the server has stopped delivering, and %" PRIu64 " of %" PRIu64
             " deliveries are missing",
             outstanding(), load.published * (uint64_t)load.options.subscribers);
    return now;
}

static uint64_t replies_missing(void) {
    uint64_t missing = 0;
    for (int i = 0; i < load.options.channels; i++) {
        const struct channel* channel = &load.channels[i];
        missing += channel->published * channel->streams.replies.unit - channel->publisher.received;
    }
    return missing;
}

// Everything that was published must arrive.
static void drain(void) {
    const uint64_t end = load.end_ns + drain_seconds * ns_per_second;
    while (outstanding() > 0 || replies_missing() > 0) {
        if (turn(false) <= end) continue;
        if (outstanding() == 0) fail("lost: some PUBLISH were never answered");
        fail("lost: %" PRIu64 " of %" PRIu64 " deliveries had not arrived %d s after the end",
             outstanding(), load.published * (uint64_t)load.options.subscribers, drain_seconds);
    }
}

// And nothing more than that: turns look for whole messages, this for a part of one.
static void check_silence(void) {
    const uint64_t end = now_ns() + silence_ms * 1000000u;
    while (turn(false) < end) continue;
    for (int i = 0; i < load.options.channels; i++) {
        const struct channel* channel = &load.channels[i];
        for (int j = 0; j < load.options.subscribers; j++) {
            const struct connection* subscriber = &channel->subscribers[j];
            if (subscriber->received != channel->published * subscriber->expected->unit)
                fail("repeated: subscriber %d of c%d received part of a message after the last", j,
                     channel->number);
        }
    }
}

static void run(void) {
    load.start_ns = load.progress_ns = now_ns();
    const uint64_t deadline = load.start_ns + (uint64_t)(load.options.seconds * 1e9);
    do {
        load.end_ns = turn(true);
    } while (load.end_ns < deadline);
    load.end_ns = now_ns();
    load.deliveries_end = load.deliveries;
    drain();
    check_silence();
}

// --- before and after ---

static void open_connection(struct connection* connection, struct channel* channel) {
    const enum protocol protocol = (enum protocol)load.options.protocol;
    connection->fd = connect_to(&load.options.target);
    connection->channel = channel;
    connection->publishes = connection == &channel->publisher;
    connection->expected =
        connection->publishes ? &channel->streams.replies : &channel->streams.deliveries;
    if (connection->publishes)
        greet_as_publisher(connection->fd, protocol, channel->number);
    else
        greet_as_subscriber(connection->fd, protocol, channel->number);
    watch(load.epoll, connection->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, connection);
}

static void open_channel(struct channel* channel, int number) {
    const struct options* options = &load.options;
    const struct channel_shape shape = {.protocol = (enum protocol)options->protocol,
                                        .channel = number,
                                        .subscribers = options->subscribers,
                                        .size = options->size};
    channel->number = number;
    channel->streams = render(&shape);
    if (options->rate > 0) channel->first_due_ns = 1e9 / options->rate * number / options->channels;
    channel->subscribers =
        checked(calloc((size_t)options->subscribers, sizeof *channel->subscribers));
    for (int i = 0; i < options->subscribers; i++) {
        open_connection(&channel->subscribers[i], channel);
        channel->subscribers[i].next_sample = (uint64_t)(i % sample_every);
    }
    channel->reached[0] = (uint32_t)options->subscribers;
    open_connection(&channel->publisher, channel);
}

static void open_load(void) {
    raise_descriptor_limit();
    load.epoll = open_epoll();
    load.channels = checked(calloc((size_t)load.options.channels, sizeof *load.channels));
    for (int i = 0; i < load.options.channels; i++) open_channel(&load.channels[i], i);
}

static void report(void) {
    const struct options* options = &load.options;
    const double seconds = (double)(load.end_ns - load.start_ns) / 1e9;
    const double rate = (double)load.deliveries_end / seconds;
    if (options->json) {
        printf(
            "{\"protocol\": \"%s\", \"channels\": %d, \"subscribers\": %d, \"window\": %d, "
            "\"size\": %d, \"seconds\": %.3f, ",
            protocol_names[options->protocol], options->channels, options->subscribers,
            options->window, options->size, seconds);
        if (options->rate > 0) printf("\"rate\": %.10g, ", options->rate);
        printf("\"published\": %" PRIu64 ", \"deliveries\": %" PRIu64
               ", \"deliveries_per_second\": %.0f, ",
               load.published, load.deliveries, rate);
        print_latency_json(&load.latency);
        printf("}\n");
        return;
    }
    printf("%d channels with %d subscribers each, %d bytes, %.2f s\n", options->channels,
           options->subscribers, options->size, seconds);
    printf("%" PRIu64 " published, %" PRIu64 " deliveries, %.0f deliveries/s\n", load.published,
           load.deliveries, rate);
    print_latency(&load.latency);
}

static void parse(int argc, char** argv) {
    struct options* options = &load.options;
    *options = (struct options){.target.address = "127.0.0.1",
                                .channels = 5,
                                .subscribers = 25,
                                .window = 64,
                                .size = 64,
                                .seconds = 5};
    const struct option known[] = {
        {"--address", option_text, &options->target.address, 0, 0, NULL},
        {"--port", option_count, &options->target.port, 1, 65535, NULL},
        {"--protocol", option_choice, &options->protocol, 0, 0, protocol_names},
        {"--channels", option_count, &options->channels, 1, channels_max, NULL},
        {"--subscribers", option_count, &options->subscribers, 1, connections_max, NULL},
        {"--window", option_count, &options->window, 1, window_max, NULL},
        {"--size", option_count, &options->size, size_min, size_max, NULL},
        {"--seconds", option_number, &options->seconds, 0.01, seconds_max, NULL},
        {"--rate", option_number, &options->rate, 1, 1e7, NULL},
        {"--json", option_flag, &options->json, 0, 0, NULL},
        {0},
    };
    parse_options(known,
                  "usage: fanout_load --port P [--protocol line|redis|nats] [--channels 5]\n"
                  "                   [--subscribers 25] [--window 64] [--size 64] [--seconds 5]\n"
                  "                   [--rate MESSAGES_PER_SECOND_AND_CHANNEL]\n"
                  "                   [--address 127.0.0.1] [--json]\n",
                  argc, argv);
    check_target(&options->target);
    if ((int64_t)options->channels * (options->subscribers + 1) > connections_max)
        wrong_usage("publishers and subscribers together are limited to %d", connections_max);
    if ((int64_t)options->channels * numbers * (unit_bytes_max - size_max + options->size) >
        table_bytes_max)
        wrong_usage("channels times size is too large: the tables would exceed 1 GiB");
}

int main(int argc, char** argv) {
    parse(argc, argv);
    open_load();
    run();
    report();
    return 0;
}

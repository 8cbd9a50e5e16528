// fanout_wire.c: see fanout_wire.h.

#define _GNU_SOURCE

#include "fanout_wire.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    line_bytes_max = 4096,  // of what a server says while it is greeted
    greeting_lines_max = 64,
    reply_bytes = 64 * 1024,  // of a table of replies, which are all the same
};

const char* const protocol_names[] = {"line", "redis", "nats", NULL};

// --- streams ---

// Writes message `number` of a channel, without its CRLF.
static void write_text(char* text, const struct channel_shape* shape, int number) {
    const int bytes = shape->size - 2;
    char name[32];
    snprintf(name, sizeof name, "%05d.%04d..", shape->channel % 100000, number % 10000);
    unsigned char random[size_max];
    fill_random(random, (size_t)bytes);
    memcpy(text, name, head_bytes);
    for (int i = head_bytes; i < bytes; i++)
        text[i] = (char)('a' + (random[i] + (unsigned)number) % 26);
}

// What tells a delivery from a command, where a protocol has more than the bare message.
struct words {
    const char* redis;
    const char* nats;
    const char* nats_id;  // of the subscription
};

static const struct words command_words = {"PUBLISH", "PUB", ""};
static const struct words delivery_words = {"message", "MSG", "1 "};

static int write_unit(char* into, const struct channel_shape* shape, const struct words* words,
                      const char* text) {
    const int bytes = shape->size - 2;
    char channel[16];
    const int channel_bytes = snprintf(channel, sizeof channel, "c%d", shape->channel);
    switch (shape->protocol) {
        case protocol_redis:
            return snprintf(
                into, unit_bytes_max, "*3\r\n$%zu\r\n%s\r\n$%d\r\n%s\r\n$%d\r\n%.*s\r\n",
                strlen(words->redis), words->redis, channel_bytes, channel, bytes, bytes, text);
        case protocol_nats:
            return snprintf(into, unit_bytes_max, "%s %s %s%d\r\n%.*s\r\n", words->nats, channel,
                            words->nats_id, bytes, bytes, text);
        case protocol_line: break;
    }
    return snprintf(into, unit_bytes_max, "%.*s\r\n", bytes, text);
}

static struct stream render_messages(const struct channel_shape* shape, const struct words* words) {
    char text[size_max], unit[unit_bytes_max];
    struct stream stream = {0};
    unsigned char* bytes = NULL;
    for (int number = 0; number < numbers; number++) {
        write_text(text, shape, number);
        const size_t count = (size_t)write_unit(unit, shape, words, text);
        if (!bytes) {
            stream.unit = count;
            stream.period = count * numbers;
            bytes = checked(malloc(stream.period));
        }
        if (count != stream.unit || count >= unit_bytes_max) abort();
        memcpy(bytes + (size_t)number * count, unit, count);
    }
    stream.bytes = bytes;
    return stream;
}

static struct stream render_replies(const struct channel_shape* shape) {
    char reply[32];
    struct stream stream = {
        .unit = (size_t)snprintf(reply, sizeof reply, ":%d\r\n", shape->subscribers)};
    const size_t count = reply_bytes / stream.unit;
    stream.period = count * stream.unit;
    unsigned char* bytes = checked(malloc(stream.period));
    for (size_t i = 0; i < count; i++) memcpy(bytes + i * stream.unit, reply, stream.unit);
    stream.bytes = bytes;
    return stream;
}

struct channel_streams render(const struct channel_shape* shape) {
    struct channel_streams streams = {0};
    streams.commands = render_messages(shape, &command_words);
    // The lines of a subscriber are the lines of the publisher, so they share their cache lines.
    streams.deliveries = shape->protocol == protocol_line ? streams.commands
                                                          : render_messages(shape, &delivery_words);
    if (shape->protocol == protocol_redis) streams.replies = render_replies(shape);
    return streams;
}

// --- greetings: before anything is measured, so they wait ---

static void say(int fd, const char* format, ...) __attribute__((format(printf, 2, 3)));

static void say(int fd, const char* format, ...) {
    char words[256];
    va_list arguments;
    va_start(arguments, format);
    const int bytes = vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    if (send(fd, words, (size_t)bytes, MSG_NOSIGNAL) != bytes) fail_errno("send", errno);
}

// Reads one line, byte by byte because what follows it is not ours yet. Drops its CRLF.
static void read_line(int fd, char* line) {
    size_t used = 0;
    while (used < line_bytes_max) {
        ssize_t got = recv(fd, line + used, 1, 0);
        if (got == 0) fail("the server closed a connection instead of greeting it");
        if (got < 0 && errno == EAGAIN) fail("the server does not answer a greeting");
        if (got < 0 && errno != EINTR) fail_errno("receive", errno);
        if (got == 1 && line[used++] == '\n') break;
    }
    if (used < 2 || line[used - 2] != '\r' || line[used - 1] != '\n')
        fail("the server answered a greeting with something that is no line");
    line[used - 2] = '\0';
}

static void expect(int fd, const char* format, ...) __attribute__((format(printf, 2, 3)));

static void expect(int fd, const char* format, ...) {
    char wanted[64], line[line_bytes_max];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(wanted, sizeof wanted, format, arguments);
    va_end(arguments);
    read_line(fd, line);
    if (strcmp(line, wanted) != 0) fail("the server said '%.200s' instead of '%s'", line, wanted);
}

// The server handles what it is told in order: with the PONG everything before it is in force.
static void settle_nats(int fd) {
    char line[line_bytes_max];
    say(fd, "PING\r\n");
    for (int i = 0; i < greeting_lines_max; i++) {
        read_line(fd, line);
        if (strcmp(line, "PONG") == 0) return;
        if (strcmp(line, "PING") == 0)
            say(fd, "PONG\r\n");
        else if (strncmp(line, "INFO ", 5) != 0)
            fail("the server said '%.200s' instead of 'PONG'", line);
    }
    fail("the server never said 'PONG'");
}

static void greet_nats(int fd) {
    char line[line_bytes_max];
    read_line(fd, line);
    if (strncmp(line, "INFO ", 5) != 0) fail("the server said '%.200s' instead of 'INFO …'", line);
    say(fd, "CONNECT {\"verbose\":false,\"pedantic\":false}\r\n");
}

void greet_as_publisher(int fd, enum protocol protocol, int channel) {
    switch (protocol) {
        case protocol_line:
            say(fd, "PUBLISH c%d\r\n", channel);
            expect(fd, "OK");
            break;
        case protocol_redis: break;  // a command says it all
        case protocol_nats:
            greet_nats(fd);
            settle_nats(fd);
            break;
    }
}

static void subscribe_redis(int fd, int channel) {
    char name[16];
    const int bytes = snprintf(name, sizeof name, "c%d", channel);
    say(fd, "*2\r\n$9\r\nSUBSCRIBE\r\n$%d\r\n%s\r\n", bytes, name);
    expect(fd, "*3");
    expect(fd, "$9");
    expect(fd, "subscribe");
    expect(fd, "$%d", bytes);
    expect(fd, "%s", name);
    expect(fd, ":1");
}

void greet_as_subscriber(int fd, enum protocol protocol, int channel) {
    switch (protocol) {
        case protocol_line:
            say(fd, "SUBSCRIBE c%d\r\n", channel);
            expect(fd, "OK");
            break;
        case protocol_redis: subscribe_redis(fd, channel); break;
        case protocol_nats:
            greet_nats(fd);
            say(fd, "SUB c%d 1\r\n", channel);
            settle_nats(fd);
            break;
    }
}

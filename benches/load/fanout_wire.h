// fanout_wire.h: the three protocols fanout_load speaks, as bytes.
//
//   line    PUBLISH c0 is answered with OK; then each line is a message. SUBSCRIBE c0 likewise.
//   redis   RESP2: SUBSCRIBE c0 is confirmed, PUBLISH c0 answered with the number of subscribers.
//   nats    The server begins with INFO; CONNECT, SUB c0 1, PUB c0. Either side may say PING.
//
// Channels are called c0, c1 and so on. Message n of a channel is message n % numbers: its text
// names the channel and the number, the rest of it is random letters. So a message is known by its
// bytes, and what a connection carries is a period of `numbers` units, rendered once.
#pragma once

#include "load.h"

enum {
    numbers = 4096,   // how many messages of a channel differ
    head_bytes = 12,  // channel, number and separators
    size_min = head_bytes + 2,
    size_max = 4096,  // of a message, with its CRLF
    channels_max = 4096,
    unit_bytes_max = size_max + 128,
};

enum protocol { protocol_line, protocol_redis, protocol_nats };

extern const char* const protocol_names[];  // ends with NULL

// What a connection carries in one direction, over and over: units of the same length.
struct stream {
    const unsigned char* bytes;  // `period` of them
    size_t unit;                 // bytes of each; 0: nothing is expected
    size_t period;               // a multiple of `unit`
};

struct channel_streams {
    struct stream commands;    // what the publisher sends
    struct stream deliveries;  // what each subscriber receives
    struct stream replies;     // what the publisher receives
};

struct channel_shape {
    enum protocol protocol;
    int channel;
    int subscribers;
    int size;  // bytes of a message, with its CRLF
};

// What it returns lives as long as the program.
struct channel_streams render(const struct channel_shape* shape);

// Each waits until the server has agreed, and fails when it does not. They leave nothing unread.
void greet_as_publisher(int fd, enum protocol protocol, int channel);
void greet_as_subscriber(int fd, enum protocol protocol, int channel);

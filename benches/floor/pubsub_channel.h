// pubsub_channel.h: the half of a pub/sub floor that does not depend on how it talks to the kernel:
// channels, connections and the line protocol of the pub/sub example.
//
// A client says `PUBLISH <channel>` or `SUBSCRIBE <channel>` and is told `OK`; each further line of
// a publisher is a message that every subscriber of the channel receives; `BYE` ends either.
//
// Everything that is done per delivery is the one send, so the design is about making that send
// rare and full. A channel is a ring of bytes that all its subscribers share. Publishers append
// whole lines at its head; a subscriber is nothing but a position in it. At the end of each turn
// of the loop every subscriber that is behind, and has no send in flight, gets one send from its
// position up to the head: whatever arrived meanwhile, from however many publishers, leaves as
// one segment. What was sent is not freed but passed: the slowest position bounds the head.
//
// Invariants:
//  1. A connection has at most one receive and at most one send in flight, so bytes keep their
//     order. It leaves its channel and is freed when it has neither: the kernel may use its
//     buffers, and the bytes between its position and the head, until then.
//  2. head - ring_bytes <= position <= head for every subscriber, also for one that is leaving.
//  3. A publisher whose next line does not fit is held: it has no receive in flight until its
//     channel has room. Thus memory is bounded, TCP pushes back and nothing is lost.
//  4. Connections end in end_turn() only.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ring_bytes = 256 * 1024,  // per channel; small enough that a few channels stay in the cache
    name_bytes_max = 255,
    command_bytes = 512,    // the input of anyone who does not publish
    reply_bytes_max = 128,  // OK and one ERROR
};

enum role { newcomer, publisher, subscriber, leaving };

struct channel;

struct connection {
    int fd;
    enum role role;
    bool receiving, sending;  // in flight: begun with the kernel, or waiting for it to be ready
    bool held;                // a publisher that waits for room in its channel
    bool listed;
    struct connection* next;  // in the list `talking`
    struct channel* channel;
    struct members* members;  // the channel's subscribers or publishers
    size_t index;             // there
    uint64_t position;        // of a subscriber, in its channel's bytes
    char* input;              // begins with the incomplete line of the last receive
    size_t input_used, input_size;
    size_t reply_sent, reply_used;
    char reply[reply_bytes_max];  // goes out before anything else
    char command[command_bytes];  // the input, unless it publishes
};

struct members {
    struct connection** list;
    size_t count, room;
};

struct channel {
    char name[name_bytes_max];
    size_t name_bytes;
    char* ring;       // mapped twice in a row: any ring_bytes of it are contiguous
    uint64_t head;    // bytes ever appended
    uint64_t passed;  // no position is below it; brought up to date when room is needed
    struct members subscribers, publishers;
    size_t held;           // how many of the publishers are
    struct channel* next;  // in the list of those that changed in this turn
    bool listed;
};

// --- what a floor calls ---

_Noreturn void fail(const char* what, int error);

// Makes the listening socket; accepted sockets inherit TCP_NODELAY. `flags` are more socket flags.
int listen_on(int port, int flags);

// Raises the limit of descriptors and returns the port that is the only argument.
int begin_floor(int argc, char** argv);

// Takes a new connection and begins to receive from it.
void greet(int fd);

// To be called when what was in flight has come to `result`: bytes, or a negative error. A receive
// of 0 bytes is the end of the stream.
void on_received(struct connection* connection, int result);
void on_delivered(struct connection* connection, int result);
void on_replied(struct connection* connection, int result);

// To be called once everything that was ready has been handled: sends, ends, and goes on with what
// was held.
void end_turn(void);

void mark_talking(struct connection* connection);

// --- what a floor provides ---

// Begins a receive into the free space at the end of the input. `receiving` is set already.
void start_receive(struct connection* connection);

// Begins a send of `count` bytes; `sending` is set already. A floor whose sends are over at once
// clears it, moves `position` or `reply_sent` and returns true: the bytes have left.
bool start_delivery(struct connection* connection, const char* bytes, size_t count);
bool start_reply(struct connection* connection, const char* bytes, size_t count);

// Makes what is in flight end soon. The connection is leaving.
void stop(struct connection* connection);

// A descriptor has been closed: accepting may go on if there was none left.
void closed_one(void);

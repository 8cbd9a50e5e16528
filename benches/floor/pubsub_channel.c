// pubsub_channel.c: see pubsub_channel.h.

#define _GNU_SOURCE

#include "pubsub_channel.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    line_bytes_max = 64 * 1024,
    input_bytes = 2 * line_bytes_max,  // a publisher's buffer
    channels_max = 1024,
};

static struct channel* channels[channels_max];
static size_t channel_count;
static struct channel* changed;     // channels whose subscribers may have something to send
static struct connection* talking;  // connections with a reply to send, or about to end

void fail(const char* what, int error) {
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(error));
    exit(1);
}

static void* checked(void* memory) {
    if (!memory) fail("memory", ENOMEM);
    return memory;
}

static void receive(struct connection* connection) {
    connection->receiving = true;
    start_receive(connection);
}

// --- channels ---

static void mark_changed(struct channel* channel) {
    if (channel->listed) return;
    channel->listed = true;
    channel->next = changed;
    changed = channel;
}

static void join(struct members* members, struct connection* connection) {
    if (members->count == members->room) {
        members->room = members->room ? 2 * members->room : 16;
        members->list = checked(realloc(members->list, members->room * sizeof *members->list));
    }
    connection->members = members;
    connection->index = members->count;
    members->list[members->count++] = connection;
}

static void part(struct connection* connection) {
    struct members* members = connection->members;
    struct connection* last = members->list[--members->count];
    members->list[connection->index] = last;
    last->index = connection->index;
}

static char* map_ring(void) {
    int memory = memfd_create("channel", MFD_CLOEXEC);
    if (memory < 0 || ftruncate(memory, ring_bytes) < 0) fail("memory of a channel", errno);
    char* place = mmap(NULL, 2 * ring_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED) fail("memory of a channel", errno);
    for (int half = 0; half < 2; half++) {
        if (mmap(place + half * ring_bytes, ring_bytes, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_FIXED | MAP_POPULATE, memory, 0) == MAP_FAILED)
            fail("memory of a channel", errno);
    }
    close(memory);
    return place;
}

// Channels are few and are looked up once per connection, so a list will do. NULL: too many.
static struct channel* find_channel(const char* name, size_t bytes) {
    for (size_t i = 0; i < channel_count; i++) {
        if (channels[i]->name_bytes == bytes && memcmp(channels[i]->name, name, bytes) == 0)
            return channels[i];
    }
    if (channel_count == channels_max) return NULL;
    struct channel* channel = checked(calloc(1, sizeof *channel));
    memcpy(channel->name, name, bytes);
    channel->name_bytes = bytes;
    channel->ring = map_ring();
    channels[channel_count++] = channel;
    return channel;
}

static bool has_room(struct channel* channel, size_t bytes) {
    if (channel->head + bytes - channel->passed <= ring_bytes) return true;
    uint64_t slowest = channel->head;
    for (size_t i = 0; i < channel->subscribers.count; i++) {
        uint64_t position = channel->subscribers.list[i]->position;
        if (position < slowest) slowest = position;
    }
    channel->passed = slowest;
    return channel->head + bytes - slowest <= ring_bytes;
}

static void append(struct channel* channel, const char* bytes, size_t count) {
    memcpy(channel->ring + channel->head % ring_bytes, bytes, count);
    channel->head += count;
    mark_changed(channel);
}

// --- connections ---

void mark_talking(struct connection* connection) {
    if (connection->listed) return;
    connection->listed = true;
    connection->next = talking;
    talking = connection;
}

static void say(struct connection* connection, const char* words) {
    size_t count = strlen(words);
    if (connection->reply_used + count > reply_bytes_max) abort();
    memcpy(connection->reply + connection->reply_used, words, count);
    connection->reply_used += count;
    mark_talking(connection);
}

// It goes once everything it has in flight has completed and its last words have been sent.
static void leave(struct connection* connection, const char* last_words) {
    if (connection->role == leaving) return;
    if (connection->held) connection->channel->held--;
    connection->held = false;
    connection->role = leaving;
    say(connection, last_words);
}

static void end(struct connection* connection) {
    if (connection->channel) {
        part(connection);
        mark_changed(connection->channel);  // a held publisher may have room now
    }
    close(connection->fd);
    if (connection->input != connection->command) free(connection->input);
    free(connection);
    closed_one();
}

static void talk(struct connection* connection) {
    const size_t left = connection->reply_used - connection->reply_sent;
    if (left > 0) {
        if (connection->sending) return;  // on_replied() lists it again
        connection->sending = true;
        if (start_reply(connection, connection->reply + connection->reply_sent, left))
            mark_talking(connection);
    } else if (connection->role == leaving) {
        if (connection->receiving || connection->sending)
            stop(connection);
        else
            end(connection);
    }
}

void greet(int fd) {
    struct connection* connection = checked(calloc(1, sizeof *connection));
    connection->fd = fd;
    connection->input = connection->command;
    connection->input_size = command_bytes;
    receive(connection);
}

// --- the protocol ---

static const char* name_error(const char* name, size_t bytes) {
    if (bytes == 0) return "ERROR the channel has no name\r\n";
    if (bytes > name_bytes_max) return "ERROR the channel name is too long\r\n";
    if (memchr(name, '\0', bytes)) return "ERROR NUL in the channel name\r\n";
    return NULL;
}

// May move the input; what is left of it keeps its place.
static void become(struct connection* connection, enum role role, const char* name, size_t bytes) {
    const char* why = name_error(name, bytes);
    struct channel* channel = why ? NULL : find_channel(name, bytes);
    if (!channel) {
        leave(connection, why ? why : "ERROR too many channels\r\n");
        return;
    }
    connection->channel = channel;
    connection->role = role;
    connection->position = channel->head;
    join(role == publisher ? &channel->publishers : &channel->subscribers, connection);
    if (role == publisher) {
        char* input = checked(malloc(input_bytes));
        memcpy(input, connection->input, connection->input_used);
        connection->input = input;
        connection->input_size = input_bytes;
    }
    say(connection, "OK\r\n");
}

static void obey(struct connection* connection, const char* line, size_t bytes) {
    static const char publish[] = "PUBLISH ", subscribe[] = "SUBSCRIBE ";
    const size_t publish_bytes = sizeof publish - 1, subscribe_bytes = sizeof subscribe - 1;
    if (bytes >= publish_bytes && memcmp(line, publish, publish_bytes) == 0)
        become(connection, publisher, line + publish_bytes, bytes - publish_bytes);
    else if (bytes >= subscribe_bytes && memcmp(line, subscribe, subscribe_bytes) == 0)
        become(connection, subscriber, line + subscribe_bytes, bytes - subscribe_bytes);
    else
        leave(connection, "ERROR expected PUBLISH <channel> or SUBSCRIBE <channel>\r\n");
}

static bool is_bye(const char* line, size_t bytes) {
    return bytes == 3 && memcmp(line, "BYE", 3) == 0;
}

// Consumes the lines of a newcomer or a subscriber. One that becomes a publisher stops here.
static size_t obey_lines(struct connection* connection) {
    size_t used = 0;
    while (connection->role == newcomer || connection->role == subscriber) {
        const char* line = connection->input + used;
        const char* end = memchr(line, '\n', connection->input_used - used);
        if (!end) break;
        size_t bytes = (size_t)(end - line);
        used += bytes + 1;
        if (bytes == 0 || line[bytes - 1] != '\r') {
            leave(connection, "ERROR lines end with CR LF\r\n");
        } else if (is_bye(line, bytes - 1)) {
            leave(connection, "");
        } else if (connection->role == newcomer) {
            obey(connection, line, bytes - 1);
        } else {
            leave(connection, "ERROR a subscriber says nothing but BYE\r\n");
        }
    }
    return used;
}

// Consumes the lines of a publisher. All that fit leave for the channel in one copy.
static size_t publish_lines(struct connection* connection, size_t used) {
    struct channel* channel = connection->channel;
    const char* const input = connection->input;
    const size_t first = used;
    const char* why = "";
    bool ended = false;
    while (!ended) {
        const char* line = input + used;
        const char* end = memchr(line, '\n', connection->input_used - used);
        size_t bytes = end ? (size_t)(end - line) : connection->input_used - used;
        if (bytes > line_bytes_max + 1) {
            why = "ERROR the line is longer than 64 KiB\r\n";
        } else if (!end) {
            break;
        } else if (bytes == 0 || line[bytes - 1] != '\r') {
            why = "ERROR lines end with CR LF\r\n";
        } else if (!is_bye(line, bytes - 1)) {
            if (!has_room(channel, used - first + bytes + 1)) {
                connection->held = true;
                channel->held++;
                break;
            }
            used += bytes + 1;
            continue;
        }
        ended = true;
    }
    if (used > first) append(channel, input + first, used - first);
    if (ended) leave(connection, why);
    return used;
}

static void consume(struct connection* connection) {
    size_t used = 0;
    if (connection->role != publisher) used = obey_lines(connection);
    if (connection->role == publisher) used = publish_lines(connection, used);
    if (connection->role == leaving) return;

    connection->input_used -= used;
    if (used > 0) memmove(connection->input, connection->input + used, connection->input_used);
    if (connection->held) return;
    if (connection->input_used < connection->input_size)
        receive(connection);
    else
        leave(connection, "ERROR the line is too long\r\n");
}

// --- the loop ---

void on_received(struct connection* connection, int result) {
    connection->receiving = false;
    if (connection->role == leaving) {
        mark_talking(connection);
    } else if (result <= 0) {
        leave(connection, "");
    } else {
        connection->input_used += (size_t)result;
        consume(connection);
    }
}

void on_delivered(struct connection* connection, int result) {
    connection->sending = false;
    if (result > 0) connection->position += (uint64_t)result;
    if (connection->role == leaving)
        mark_talking(connection);
    else if (result < 0)
        leave(connection, "");
    else
        mark_changed(connection->channel);
}

void on_replied(struct connection* connection, int result) {
    connection->sending = false;
    if (result < 0) leave(connection, "");
    connection->reply_sent =
        result < 0 ? connection->reply_used : connection->reply_sent + (size_t)result;
    mark_talking(connection);
    if (connection->role == subscriber) mark_changed(connection->channel);
}

static void resume_held(struct channel* channel) {
    for (size_t i = 0; channel->held > 0 && i < channel->publishers.count; i++) {
        struct connection* connection = channel->publishers.list[i];
        if (!connection->held) continue;
        connection->held = false;
        channel->held--;
        consume(connection);
        if (connection->held) return;  // still no room: the others need not try
    }
}

// Returns whether some bytes have left already, so that there may be room for a held publisher.
static bool flush(struct channel* channel) {
    bool moved = false;
    if (channel->held > 0) resume_held(channel);
    const struct members* subscribers = &channel->subscribers;
    for (size_t i = 0; i < subscribers->count; i++) {
        struct connection* connection = subscribers->list[i];
        if (connection->sending || connection->role == leaving) continue;
        if (connection->position == channel->head) continue;
        if (connection->reply_sent < connection->reply_used) continue;
        connection->sending = true;
        moved |= start_delivery(connection, channel->ring + connection->position % ring_bytes,
                                channel->head - connection->position);
    }
    return moved;
}

// Either list may grow while the other is worked off, but only because something has left or
// ended, so this comes to an end.
void end_turn(void) {
    while (talking || changed) {
        while (talking) {
            struct connection* connection = talking;
            talking = connection->next;
            connection->listed = false;
            talk(connection);
        }
        if (changed) {
            struct channel* channel = changed;
            changed = channel->next;
            const bool moved = flush(channel);
            channel->listed = false;  // only now: what it appends it also sends
            if (moved && channel->held > 0) mark_changed(channel);
        }
    }
}

int listen_on(int port, int flags) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0) fail("socket", errno);
    int on = 1;  // accepted sockets inherit both
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, (struct sockaddr*)&address, sizeof address) < 0) fail("bind", errno);
    if (listen(fd, 4096) < 0) fail("listen", errno);
    return fd;
}

int begin_floor(int argc, char** argv) {
    int port = argc == 2 ? atoi(argv[1]) : 0;
    if (port < 1 || port > 65535) {
        fprintf(stderr, "usage: %s PORT\n", program_invocation_short_name);
        exit(2);
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    return port;
}

// echo_epoll: the echo server, written by hand on epoll. `echo_epoll PORT`
//
// The other floor: what epoll allows when nothing stands between the program and the kernel.
// Edge-triggered, one registration per connection for its whole life, and every act is tried
// before anybody waits: a request costs one recv and one send, and an epoll_wait is shared by all
// that became readable meanwhile. A recv that does not fill the buffer has emptied the socket, so
// no second one is needed to hear EAGAIN: bytes that arrive later raise a new edge. Only an end
// of stream that was there already would go unheard, and EPOLLRDHUP tells of that.
//
// All connections receive into one buffer, which therefore stays in the cache: what was received is
// sent before anything else is. What the socket does not take is copied, and waits for its edge.

#define _GNU_SOURCE

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    buffer_bytes = 16 * 1024,
    events_max = 1024,
    rounds_max = 16,  // full buffers in a row; then the others have their turn
    wanted = EPOLLIN | EPOLLOUT | EPOLLRDHUP,
};

struct connection {
    int fd;
    bool ended;  // the peer has closed its side, or the connection is lost
    char* rest;  // what the socket had no room for, or NULL; `left` bytes from `first` on
    size_t first, left;
};

static int epoll;
static int listener;
static char buffer[buffer_bytes];

static void fail(const char* what) {
    fprintf(stderr, "echo_epoll: %s: %s\n", what, strerror(errno));
    exit(1);
}

// Returns how much of it the socket took.
static size_t send_some(struct connection* connection, const char* bytes, size_t count) {
    size_t used = 0;
    while (used < count) {
        ssize_t sent =
            send(connection->fd, bytes + used, count - used, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) continue;
            if (errno != EAGAIN) connection->ended = true;
            break;
        }
        used += (size_t)sent;
    }
    return used;
}

// Returns whether nothing waits to be sent any more.
static bool send_rest(struct connection* connection) {
    if (!connection->rest) return true;
    const size_t sent =
        send_some(connection, connection->rest + connection->first, connection->left);
    connection->first += sent;
    connection->left -= sent;
    if (connection->left > 0) return false;
    free(connection->rest);
    connection->rest = NULL;
    return true;
}

// Sends what has been received.
static void reply(struct connection* connection, size_t count) {
    const size_t sent = send_some(connection, buffer, count);
    if (sent == count || connection->ended) return;
    connection->first = 0;
    connection->left = count - sent;
    connection->rest = malloc(connection->left);
    if (!connection->rest) fail("memory");
    memcpy(connection->rest, buffer + sent, connection->left);
}

static size_t receive(struct connection* connection) {
    ssize_t got;
    do {
        got = recv(connection->fd, buffer, buffer_bytes, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got == 0 || (got < 0 && errno != EAGAIN)) connection->ended = true;
    return got > 0 ? (size_t)got : 0;
}

static void watch(struct connection* connection, int how) {
    struct epoll_event event = {.events = wanted | (uint32_t)EPOLLET, .data.ptr = connection};
    if (epoll_ctl(epoll, how, connection->fd, &event) < 0) fail("epoll_ctl");
}

static void echo(struct connection* connection, bool hung_up) {
    for (int round = 0; !connection->ended && send_rest(connection); round++) {
        if (round == rounds_max) {
            watch(connection, EPOLL_CTL_MOD);  // raises the edge again
            return;
        }
        const size_t got = receive(connection);
        if (got > 0) reply(connection, got);
        if (got == 0 || (got < buffer_bytes && !hung_up)) break;
    }
    if (!connection->ended) return;
    close(connection->fd);  // which also takes it out of the epoll set
    free(connection->rest);
    free(connection);
}

// A failure is the peer's, or passes: the edge of the next connection tries again.
static void accept_all(void) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct connection* connection = calloc(1, sizeof *connection);
        if (!connection) fail("memory");
        connection->fd = fd;
        watch(connection, EPOLL_CTL_ADD);
    }
}

static int listen_on(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) fail("socket");
    int on = 1;  // accepted sockets inherit both
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, (struct sockaddr*)&address, sizeof address) < 0) fail("bind");
    if (listen(fd, 4096) < 0) fail("listen");
    return fd;
}

static void run(void) {
    static struct epoll_event events[events_max];
    for (;;) {
        int count = epoll_wait(epoll, events, events_max, -1);
        if (count < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < count; i++) {
            const uint32_t hang_up = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
            if (events[i].data.ptr)
                echo(events[i].data.ptr, (events[i].events & hang_up) != 0);
            else
                accept_all();
        }
    }
}

int main(int argc, char** argv) {
    int port = argc == 2 ? atoi(argv[1]) : 0;
    if (port < 1 || port > 65535) {
        fprintf(stderr, "usage: echo_epoll PORT\n");
        return 2;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    listener = listen_on(port);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) fail("epoll_create1");
    struct epoll_event event = {.events = EPOLLIN | (uint32_t)EPOLLET, .data.ptr = NULL};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) fail("epoll_ctl");
    run();
}

// tls_epoll: a TLS server written by hand on OpenSSL and epoll.
// `tls_epoll PORT CERTIFICATE KEY [echo|send|receive]`
//
// It is the floor: OpenSSL on the socket itself, one thread, level-triggered epoll. A connection
// is an SSL that has released its buffers, and what it could not send yet.
//
//   echo     sends back what it receives
//   send     for each byte that it receives, a block of 1 MiB in records of 16 KiB
//   receive  for each 1 MiB that it has received, one byte
//
// What makes it good: read-ahead, so that a record is one call of recv and not two for its header
// and its body; SSL_has_pending() before waiting, which spares the recv that fails; partial writes.

#define _GNU_SOURCE

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
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
    record_bytes = 16 * 1024,
    block_bytes = 1 << 20,
    events_max = 1024,
    rounds_max = 16,  // records in a row; then the others have their turn
};

enum mode { echo, send_blocks, receive_blocks };

struct connection {
    SSL* ssl;
    int fd;
    bool waits_to_write;
    uint64_t moved;  // bytes received, of all blocks
    uint64_t owed;   // bytes of blocks that are to be sent
    char* rest;      // of an echo that the socket had no room for; `left` bytes from `first` on
    size_t first, left;
};

static int epoll;
static int listener;
static SSL_CTX* context;
static enum mode mode;
static unsigned char buffer[record_bytes];
static unsigned char block[block_bytes];  // what is sent again and again

static void fail(const char* what) {
    fprintf(stderr, "tls_epoll: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void fail_tls(const char* what) {
    const char* reason = ERR_reason_error_string(ERR_peek_last_error());
    fprintf(stderr, "tls_epoll: %s: %s\n", what, reason ? reason : "failed");
    exit(1);
}

static void watch(struct connection* connection, uint32_t wanted, int how) {
    struct epoll_event event = {.events = wanted, .data.ptr = connection};
    if (epoll_ctl(epoll, how, connection->fd, &event) < 0) fail("epoll_ctl");
}

// Asks for what it waits for now, when that is something else.
static void wait_to_write(struct connection* connection, bool waits) {
    if (waits == connection->waits_to_write) return;
    connection->waits_to_write = waits;
    watch(connection, waits ? EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
}

static void end(struct connection* connection) {
    close(connection->fd);  // which also takes it out of the epoll set
    SSL_free(connection->ssl);
    free(connection->rest);
    free(connection);
}

enum outcome { moved_on, wants_read, wants_write, over };

static enum outcome outcome_of(struct connection* connection, int answer) {
    if (answer == 1) return moved_on;
    switch (SSL_get_error(connection->ssl, answer)) {
        case SSL_ERROR_WANT_READ: return wants_read;
        case SSL_ERROR_WANT_WRITE: return wants_write;
        case SSL_ERROR_ZERO_RETURN: SSL_shutdown(connection->ssl); return over;
        default: return over;
    }
}

static enum outcome put(struct connection* connection, const void* bytes, size_t count,
                        size_t* written) {
    *written = 0;
    return outcome_of(connection, SSL_write_ex(connection->ssl, bytes, count, written));
}

// Sends what is to be sent: moved_on when nothing is left.
static enum outcome send_rest(struct connection* connection) {
    size_t written;
    while (connection->rest) {
        const enum outcome came =
            put(connection, connection->rest + connection->first, connection->left, &written);
        if (came != moved_on) return came;
        connection->first += written;
        connection->left -= written;
        if (connection->left > 0) continue;
        free(connection->rest);
        connection->rest = NULL;
    }
    while (connection->owed > 0) {
        const size_t at = (size_t)((block_bytes - connection->owed % block_bytes) % block_bytes);
        const size_t left = block_bytes - at;
        const enum outcome came =
            put(connection, block + at, left < record_bytes ? left : record_bytes, &written);
        if (came != moved_on) return came;
        connection->owed -= written;
    }
    return moved_on;
}

static enum outcome answer(struct connection* connection, size_t got) {
    const uint64_t before = connection->moved / block_bytes;
    const void* bytes = buffer;
    size_t count = got, written;
    connection->moved += got;
    if (mode == send_blocks) {
        connection->owed += got * (uint64_t)block_bytes;
        return send_rest(connection);
    }
    if (mode == receive_blocks) count = (size_t)(connection->moved / block_bytes - before);
    if (count == 0) return moved_on;
    const enum outcome came = put(connection, bytes, count, &written);
    if (came == over || written == count) return came;
    connection->first = 0;
    connection->left = count - written;
    connection->rest = malloc(connection->left);
    if (!connection->rest) fail("memory");
    memcpy(connection->rest, buffer + written, connection->left);
    return wants_write;
}

static void go_on(struct connection* connection) {
    ERR_clear_error();
    enum outcome came = send_rest(connection);
    for (int round = 0; came == moved_on && round < rounds_max; round++) {
        size_t got = 0;
        came = outcome_of(connection, SSL_read_ex(connection->ssl, buffer, sizeof buffer, &got));
        if (came != moved_on) break;
        came = answer(connection, got);
        if (came == moved_on && !SSL_has_pending(connection->ssl)) break;
    }
    if (came == moved_on && SSL_has_pending(connection->ssl)) came = wants_write;  // the next turn
    if (came == over)
        end(connection);
    else
        wait_to_write(connection, came == wants_write);
}

static void accept_all(void) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct connection* connection = calloc(1, sizeof *connection);
        if (!connection) fail("memory");
        connection->fd = fd;
        connection->ssl = SSL_new(context);
        if (!connection->ssl || SSL_set_fd(connection->ssl, fd) != 1) fail_tls("a connection");
        SSL_set_accept_state(connection->ssl);
        watch(connection, EPOLLIN, EPOLL_CTL_ADD);
    }
}

static void make_context(const char* certificate, const char* key) {
    context = SSL_CTX_new(TLS_server_method());
    if (!context || SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
        fail_tls(certificate);
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) fail_tls(key);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
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
            if (events[i].data.ptr)
                go_on(events[i].data.ptr);
            else
                accept_all();
        }
    }
}

int main(int argc, char** argv) {
    static const char* const modes[] = {"echo", "send", "receive"};
    const int port = argc >= 4 && argc <= 5 ? atoi(argv[1]) : 0;
    int chosen = 0;
    while (argc == 5 && chosen < 3 && strcmp(argv[4], modes[chosen]) != 0) chosen++;
    if (port < 1 || port > 65535 || chosen == 3) {
        fprintf(stderr, "usage: tls_epoll PORT CERTIFICATE KEY [echo|send|receive]\n");
        return 2;
    }
    mode = (enum mode)chosen;
    for (int i = 0; i < block_bytes; i++) {
        const int at = i % record_bytes;
        block[i] = (unsigned char)(at * 31 + at / 256);
    }
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    make_context(argv[2], argv[3]);
    listener = listen_on(port);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) fail("epoll_create1");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) fail("epoll_ctl");
    run();
}

// echo_uring: the echo server, written by hand on liburing. `echo_uring PORT`
//
// It is the floor: what the machine allows when nothing stands between the program and the ring.
// One system call per turn submits everything and waits for more. A request is one completion:
// when a receive completes, the reply and the next receive are submitted as a linked pair, and a
// send that succeeds posts no completion at all. The link is what makes one buffer per connection
// safe, because the receive starts only when the whole reply has been handed to the socket.
//
// What was tried and is no better at 64 and 512 connections: the receive submitted when the send
// has completed; multishot receive into provided buffers; POLL_FIRST on the receive; OP_WRITE and
// OP_READ instead of OP_SEND and OP_RECV (a little better at 64, worse at 512); registered
// descriptors; COOP_TASKRUN instead of DEFER_TASKRUN.
//
// POLL_FIRST loses because a busy server is behind: by the time its receive is issued, the next
// message has usually come, and a receive that finds it at once needs no poll. With 8 connections
// or fewer nobody is behind, and the multishot receive, whose poll stays armed, wins.

#define _GNU_SOURCE

#include <liburing.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    buffer_bytes = 16 * 1024,
    entries = 4096,
    completions = 4 * entries,
};

// The low bits of a completion's data; the rest is the address of the connection.
enum operation { op_receive, op_send, op_accept, operation_mask = 7 };

struct connection {
    int fd;
    unsigned first, left;  // of the reply that is being sent
    char buffer[buffer_bytes];
};

static struct io_uring ring;
static int listener;
static bool accepting;

static void fail(const char* what, int error) {
    fprintf(stderr, "echo_uring: %s: %s\n", what, strerror(error));
    exit(1);
}

// Makes room for a linked pair, which must be submitted in one call.
static void reserve_pair(void) {
    while (io_uring_sq_space_left(&ring) < 2) {
        int submitted = io_uring_submit(&ring);
        if (submitted < 0 && submitted != -EINTR && submitted != -EAGAIN && submitted != -EBUSY)
            fail("submit", -submitted);
    }
}

static void submit_accept(void) {
    reserve_pair();
    struct io_uring_sqe* sqe = io_uring_get_sqe(&ring);
    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, op_accept);
    accepting = true;
}

static void submit_receive(struct connection* connection) {
    reserve_pair();
    struct io_uring_sqe* sqe = io_uring_get_sqe(&ring);
    io_uring_prep_recv(sqe, connection->fd, connection->buffer, buffer_bytes, 0);
    io_uring_sqe_set_data64(sqe, (uintptr_t)connection | op_receive);
}

static void submit_reply(struct connection* connection) {
    reserve_pair();
    struct io_uring_sqe* sqe = io_uring_get_sqe(&ring);
    io_uring_prep_send(sqe, connection->fd, connection->buffer + connection->first,
                       connection->left, MSG_NOSIGNAL | MSG_WAITALL);
    io_uring_sqe_set_flags(sqe, IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS);
    io_uring_sqe_set_data64(sqe, (uintptr_t)connection | op_send);
    submit_receive(connection);
}

static void end(struct connection* connection) {
    close(connection->fd);
    free(connection);
    if (!accepting) submit_accept();  // it had run out of descriptors
}

static void on_accepted(const struct io_uring_cqe* cqe) {
    if (!(cqe->flags & IORING_CQE_F_MORE)) accepting = false;
    if (cqe->res >= 0) {
        struct connection* connection = malloc(sizeof *connection);
        if (!connection) fail("memory", ENOMEM);
        connection->fd = cqe->res;
        submit_receive(connection);
    }
    // Without descriptors it would fail again at once: the next connection to close re-arms it.
    if (!accepting && cqe->res != -EMFILE && cqe->res != -ENFILE) submit_accept();
}

static void on_received(struct connection* connection, int result) {
    if (result <= 0) {
        end(connection);
        return;
    }
    connection->first = 0;
    connection->left = (unsigned)result;
    submit_reply(connection);
}

// A send that failed or fell short is the only one to complete visibly. It has cancelled its
// receive, and because it was to skip its own completion, that one posts none either.
static void on_send_broken(struct connection* connection, int result) {
    if (result <= 0) {
        end(connection);
        return;
    }
    connection->first += (unsigned)result;
    connection->left -= (unsigned)result;
    submit_reply(connection);
}

static void on_completion(const struct io_uring_cqe* cqe) {
    const uint64_t data = io_uring_cqe_get_data64(cqe);
    struct connection* connection =
        (struct connection*)(uintptr_t)(data & ~(uint64_t)operation_mask);
    switch (data & operation_mask) {
        case op_receive: on_received(connection, cqe->res); break;
        case op_send: on_send_broken(connection, cqe->res); break;
        case op_accept: on_accepted(cqe); break;
    }
}

static int listen_on(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("socket", errno);
    int on = 1;  // accepted sockets inherit both
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, (struct sockaddr*)&address, sizeof address) < 0) fail("bind", errno);
    if (listen(fd, 4096) < 0) fail("listen", errno);
    return fd;
}

static void open_ring(void) {
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
                 IORING_SETUP_CQSIZE,
        .cq_entries = completions,
    };
    int made = io_uring_queue_init_params(entries, &ring, &params);
    if (made < 0) fail("io_uring, which needs Linux 6.1", -made);
    io_uring_register_ring_fd(&ring);  // saves a lookup per call where the kernel has it
}

static void run(void) {
    for (;;) {
        int waited = io_uring_submit_and_wait(&ring, 1);
        if (waited < 0 && waited != -EINTR && waited != -EAGAIN && waited != -EBUSY)
            fail("wait", -waited);
        struct io_uring_cqe* cqe;
        unsigned head, taken = 0;
        io_uring_for_each_cqe(&ring, head, cqe) {
            on_completion(cqe);
            taken++;
        }
        io_uring_cq_advance(&ring, taken);
    }
}

int main(int argc, char** argv) {
    int port = argc == 2 ? atoi(argv[1]) : 0;
    if (port < 1 || port > 65535) {
        fprintf(stderr, "usage: echo_uring PORT\n");
        return 2;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    listener = listen_on(port);
    open_ring();
    submit_accept();
    run();
}

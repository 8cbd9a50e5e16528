// pubsub_uring: the pub/sub server, written by hand on liburing. `pubsub_uring PORT`
//
// It is the floor: what the machine allows when nothing stands between the protocol and the ring.
// What it does is in pubsub_channel.h; here is how. One system call per turn submits every receive
// and every send the turn has led to, and waits for the first completion.

#define _GNU_SOURCE

#include "pubsub_channel.h"

#include <liburing.h>

#include <errno.h>
#include <sys/socket.h>

enum {
    entries = 4096,
    completions = 4 * entries,
    operation_mask = 3,
};

// The low bits of a completion's data; the rest is the address of the connection.
enum operation { op_receive, op_deliver, op_reply, op_accept };

static struct io_uring ring;
static int listener;
static bool accepting;

// --- submissions ---

static struct io_uring_sqe* next_sqe(void) {
    struct io_uring_sqe* sqe = io_uring_get_sqe(&ring);
    while (!sqe) {  // more than `entries` in one turn
        int submitted = io_uring_submit(&ring);
        if (submitted < 0 && submitted != -EINTR && submitted != -EAGAIN && submitted != -EBUSY)
            fail("submit", -submitted);
        sqe = io_uring_get_sqe(&ring);
    }
    return sqe;
}

static void submit_accept(void) {
    struct io_uring_sqe* sqe = next_sqe();
    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, op_accept);
    accepting = true;
}

void start_receive(struct connection* connection) {
    struct io_uring_sqe* sqe = next_sqe();
    io_uring_prep_recv(sqe, connection->fd, connection->input + connection->input_used,
                       connection->input_size - connection->input_used, 0);
    io_uring_sqe_set_data64(sqe, (uintptr_t)connection | op_receive);
}

static void submit_send(struct connection* connection, enum operation operation, const char* bytes,
                        size_t count) {
    struct io_uring_sqe* sqe = next_sqe();
    io_uring_prep_send(sqe, connection->fd, bytes, count, MSG_NOSIGNAL);
    io_uring_sqe_set_data64(sqe, (uintptr_t)connection | operation);
}

bool start_delivery(struct connection* connection, const char* bytes, size_t count) {
    submit_send(connection, op_deliver, bytes, count);
    return false;
}

bool start_reply(struct connection* connection, const char* bytes, size_t count) {
    submit_send(connection, op_reply, bytes, count);
    return false;
}

void stop(struct connection* connection) {
    shutdown(connection->fd, SHUT_RDWR);  // completes both the receive and the send
}

void closed_one(void) {
    if (!accepting) submit_accept();
}

// --- the loop ---

static void on_accepted(const struct io_uring_cqe* cqe) {
    if (!(cqe->flags & IORING_CQE_F_MORE)) accepting = false;
    if (cqe->res >= 0) greet(cqe->res);
    // Without descriptors it would fail again at once: the next connection to close re-arms it.
    if (!accepting && cqe->res != -EMFILE && cqe->res != -ENFILE) submit_accept();
}

static void on_completion(const struct io_uring_cqe* cqe) {
    const uint64_t data = io_uring_cqe_get_data64(cqe);
    struct connection* connection =
        (struct connection*)(uintptr_t)(data & ~(uint64_t)operation_mask);
    switch ((enum operation)(data & operation_mask)) {
        case op_receive: on_received(connection, cqe->res); break;
        case op_deliver: on_delivered(connection, cqe->res); break;
        case op_reply: on_replied(connection, cqe->res); break;
        case op_accept: on_accepted(cqe); break;
    }
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
        end_turn();
    }
}

int main(int argc, char** argv) {
    const int port = begin_floor(argc, argv);
    listener = listen_on(port, 0);
    open_ring();
    submit_accept();
    run();
}

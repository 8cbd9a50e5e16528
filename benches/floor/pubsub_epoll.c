// pubsub_epoll: the pub/sub server, written by hand on epoll. `pubsub_epoll PORT`
//
// The other floor: what epoll allows when nothing stands between the protocol and the kernel. What
// it does is in pubsub_channel.h; here is how. Edge-triggered, one registration per connection for
// its whole life, and every act is tried before anybody waits. A turn receives from all who are
// readable and then gives every subscriber that is behind its one send, so what arrives in a turn
// leaves as one segment here, too. A receive that does not fill the space has emptied the socket,
// so no second one is needed to hear EAGAIN; EPOLLRDHUP tells of an end that was there already.
//
// What is "in flight" here waits for an edge: a receive that found nothing more, a send that found
// no room.

#define _GNU_SOURCE

#include "pubsub_channel.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    events_max = 1024,
    rounds_max = 16,  // full receives in a row; then the others have their turn
    wanted = EPOLLIN | EPOLLOUT | EPOLLRDHUP,
};

static int epoll;
static int listener;
static bool starved;  // of descriptors: the next one to be closed goes to the next client
static struct connection* handled;  // whose event it is

static void watch(struct connection* connection, int how) {
    struct epoll_event event = {.events = wanted | (uint32_t)EPOLLET, .data.ptr = connection};
    if (epoll_ctl(epoll, how, connection->fd, &event) < 0) fail("epoll_ctl", errno);
}

// --- what the channels ask for ---

// Whoever is being handled goes on by itself. A publisher that was held has not looked at its
// socket for a while: registering it anew raises the edge again if there is something.
void start_receive(struct connection* connection) {
    if (connection == handled) return;
    watch(connection, connection->role == newcomer ? EPOLL_CTL_ADD : EPOLL_CTL_MOD);
}

// Returns the bytes sent; leaves `sending` set when there was no room for all of them.
static ssize_t send_now(struct connection* connection, const char* bytes, size_t count) {
    ssize_t sent;
    do {
        sent = send(connection->fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno == EAGAIN) return 0;
    if (sent < 0) return -errno;
    if ((size_t)sent == count) connection->sending = false;
    return sent;
}

bool start_delivery(struct connection* connection, const char* bytes, size_t count) {
    const ssize_t sent = send_now(connection, bytes, count);
    if (sent < 0) on_delivered(connection, (int)sent);
    if (sent <= 0) return false;
    connection->position += (uint64_t)sent;
    return true;
}

bool start_reply(struct connection* connection, const char* bytes, size_t count) {
    const ssize_t sent = send_now(connection, bytes, count);
    if (sent < 0) on_replied(connection, (int)sent);
    if (sent <= 0) return false;
    connection->reply_sent += (size_t)sent;
    return true;
}

// Nothing of it is in the kernel's hands.
void stop(struct connection* connection) {
    connection->receiving = connection->sending = false;
    mark_talking(connection);
}

static void accept_all(void) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) greet(fd);
    starved = errno == EMFILE || errno == ENFILE;
}

void closed_one(void) {
    if (starved) accept_all();
}

// --- the loop ---

static void receive_all(struct connection* connection, bool hung_up) {
    handled = connection;
    for (int round = 0; connection->receiving; round++) {
        if (round == rounds_max) {
            watch(connection, EPOLL_CTL_MOD);
            break;
        }
        const size_t room = connection->input_size - connection->input_used;
        const ssize_t got =
            recv(connection->fd, connection->input + connection->input_used, room, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) break;
        on_received(connection, got < 0 ? -errno : (int)got);
        if ((size_t)got < room && !hung_up) break;
    }
    handled = NULL;
}

static void on_event(struct connection* connection, uint32_t events) {
    const uint32_t hang_up = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    // There is room again. Having sent nothing more is a reason to try, for replies and deliveries.
    if (connection->sending && (events & (EPOLLOUT | hang_up))) on_replied(connection, 0);
    if (events & (EPOLLIN | hang_up)) receive_all(connection, (events & hang_up) != 0);
}

static void run(void) {
    static struct epoll_event events[events_max];
    for (;;) {
        int count = epoll_wait(epoll, events, events_max, -1);
        if (count < 0 && errno != EINTR) fail("epoll_wait", errno);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                on_event(events[i].data.ptr, events[i].events);
            else
                accept_all();
        }
        end_turn();
    }
}

int main(int argc, char** argv) {
    const int port = begin_floor(argc, argv);
    listener = listen_on(port, SOCK_NONBLOCK);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) fail("epoll_create1", errno);
    struct epoll_event event = {.events = EPOLLIN | (uint32_t)EPOLLET, .data.ptr = NULL};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0) fail("epoll_ctl", errno);
    run();
}

// echo_load: keeps an echo server busy over loopback and says how fast it answers.
//
// Closed loop: every connection has exactly one message in flight and sends the next one as soon
// as the reply has arrived and has been compared. One thread, so that a benchmark can pin it to
// one core. It polls and never sleeps: a load that sleeps must be woken by the server, and the
// wake-up, microseconds on a virtual machine, would be charged to the server at random. (Measured:
// same medians, a third of the spread.) It uses epoll, so that it runs wherever a server does.
//
// Messages are slices of one table of random bytes, at an offset that depends on the connection
// and on the number of the message. A reply that is stale, shifted or meant for another
// connection therefore differs from what is expected, and nothing is copied to find out.

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
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
#include <time.h>
#include <unistd.h>

enum {
    connections_max = 16384,
    size_max = 1 << 20,
    reply_bytes_max = 1 << 30,  // all reply buffers together
    seconds_max = 3600,
    offsets = 4096,     // how many different messages there are
    stall_seconds = 5,  // no reply at all for this long: the server hangs
    sub_buckets = 128,  // per power of two: a percentile is right to 1 %
    powers = 64 - 7,
    events_max = 1024,
};

struct options {
    const char* address;
    int port;
    int connections;
    int size;
    double seconds;
    bool json;
};

struct connection {
    int fd;
    uint32_t offset;   // where in the table the message in flight begins
    uint64_t sent_ns;  // when it was begun
    size_t sent, received;
    unsigned char* reply;
};

struct load {
    struct options options;
    int epoll;
    struct connection* connections;
    unsigned char* table;
    uint64_t requests;
    uint64_t start_ns;
    uint64_t deadline_ns;
    uint64_t end_ns;  // when the last reply came
    uint64_t counts[powers * sub_buckets];
    uint64_t slowest_ns;
    int in_flight;
};

static void fail(const char* what) {
    fprintf(stderr, "echo_load: %s\n", what);
    exit(1);
}

static void fail_errno(const char* what, int error) {
    fprintf(stderr, "echo_load: %s: %s\n", what, strerror(error));
    exit(1);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// --- latency: a histogram whose buckets are 1/128 of their power of two wide ---

static size_t bucket_of(uint64_t ns) {
    if (ns < sub_buckets) return (size_t)ns;
    int shift = 63 - __builtin_clzll(ns) - 7;
    return (size_t)(shift + 1) * sub_buckets + ((ns >> shift) - sub_buckets);
}

static uint64_t bucket_middle(size_t bucket) {
    if (bucket < 2 * sub_buckets) return bucket;
    int shift = (int)(bucket / sub_buckets) - 1;
    uint64_t low = (uint64_t)(bucket % sub_buckets + sub_buckets) << shift;
    return low + (((uint64_t)1 << shift) >> 1);
}

static void record(struct load* load, uint64_t ns) {
    const uint64_t limit = (uint64_t)seconds_max * 1000000000u;
    load->counts[bucket_of(ns < limit ? ns : limit)]++;
    if (ns > load->slowest_ns) load->slowest_ns = ns;
}

static double percentile_us(const struct load* load, double share) {
    uint64_t rank = (uint64_t)(share * (double)load->requests);
    uint64_t seen = 0;
    for (size_t bucket = 0; bucket < powers * sub_buckets; bucket++) {
        seen += load->counts[bucket];
        if (seen > rank) return (double)bucket_middle(bucket) / 1000;
    }
    return (double)load->slowest_ns / 1000;
}

// --- the loop ---

static void send_rest(struct load* load, struct connection* connection) {
    const unsigned char* message = load->table + connection->offset;
    const size_t size = (size_t)load->options.size;
    while (connection->sent < size) {
        ssize_t sent = send(connection->fd, message + connection->sent, size - connection->sent,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) return;
        if (sent < 0 && errno != EINTR) fail_errno("send", errno);
        if (sent > 0) connection->sent += (size_t)sent;
    }
}

static void receive_rest(struct load* load, struct connection* connection) {
    const size_t size = (size_t)load->options.size;
    while (connection->received < size) {
        ssize_t got = recv(connection->fd, connection->reply + connection->received,
                           size - connection->received, MSG_DONTWAIT);
        if (got == 0) fail("the server closed a connection");
        if (got < 0 && errno == EAGAIN) return;
        if (got < 0 && errno != EINTR) fail_errno("receive", errno);
        if (got > 0) connection->received += (size_t)got;
    }
}

static void begin_message(struct load* load, struct connection* connection, uint64_t now) {
    connection->offset = (connection->offset + 61) % offsets;
    connection->sent_ns = now;
    connection->sent = connection->received = 0;
    load->in_flight++;
    send_rest(load, connection);
}

static void end_message(struct load* load, struct connection* connection) {
    if (connection->sent != (size_t)load->options.size ||
        memcmp(connection->reply, load->table + connection->offset, connection->received) != 0)
        fail("a reply differs from its message");
    const uint64_t now = now_ns();
    record(load, now - connection->sent_ns);
    load->requests++;
    load->in_flight--;
    load->end_ns = now;
    if (now < load->deadline_ns) begin_message(load, connection, now);
}

// A message larger than the socket buffers only gets through if the reply is read meanwhile.
static void on_event(struct load* load, struct connection* connection) {
    send_rest(load, connection);
    receive_rest(load, connection);
    if (connection->received == (size_t)load->options.size) end_message(load, connection);
}

static void run(struct load* load) {
    static struct epoll_event events[events_max];
    load->start_ns = load->end_ns = now_ns();
    load->deadline_ns = load->start_ns + (uint64_t)(load->options.seconds * 1e9);
    for (int i = 0; i < load->options.connections; i++)
        begin_message(load, &load->connections[i], now_ns());

    const uint64_t stall_ns = (uint64_t)stall_seconds * 1000000000u;
    while (load->in_flight > 0) {
        int count = epoll_wait(load->epoll, events, events_max, 0);
        for (int i = 0; i < count; i++) on_event(load, events[i].data.ptr);
        if (count < 0 && errno != EINTR) fail_errno("epoll_wait", errno);
        if (count == 0 && now_ns() - load->end_ns > stall_ns)
            fail("the server has stopped answering");
    }
}

// --- before and after ---

static int connect_to(const struct options* options) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options->port)};
    inet_pton(AF_INET, options->address, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail_errno("socket", errno);
    if (connect(fd, (struct sockaddr*)&address, sizeof address) < 0) fail_errno("connect", errno);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void open_load(struct load* load) {
    const struct options* options = &load->options;
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }

    const size_t table_bytes = offsets + (size_t)options->size;
    load->table = malloc(table_bytes);
    load->connections = calloc((size_t)options->connections, sizeof *load->connections);
    unsigned char* replies = malloc((size_t)options->connections * (size_t)options->size);
    if (!load->table || !load->connections || !replies) fail("out of memory");
    uint64_t random = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < table_bytes; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        load->table[i] = (unsigned char)(random >> 32);
    }

    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (load->epoll < 0) fail_errno("epoll_create1", errno);
    for (int i = 0; i < options->connections; i++) {
        struct connection* connection = &load->connections[i];
        connection->fd = connect_to(options);
        connection->offset = (uint32_t)i * 7919u % offsets;
        connection->reply = replies + (size_t)i * (size_t)options->size;
        // Nothing has been received that was not asked for, so edges are enough.
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection};
        if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, connection->fd, &event) < 0)
            fail_errno("epoll_ctl", errno);
    }
}

static void report(const struct load* load) {
    const struct options* options = &load->options;
    const double seconds = (double)(load->end_ns - load->start_ns) / 1e9;
    const double rate = seconds > 0 ? (double)load->requests / seconds : 0;
    const double p50 = percentile_us(load, 0.50), p90 = percentile_us(load, 0.90);
    const double p99 = percentile_us(load, 0.99), p999 = percentile_us(load, 0.999);
    const double slowest = (double)load->slowest_ns / 1000;
    if (options->json) {
        printf("{\"connections\": %d, \"size\": %d, \"seconds\": %.3f, \"requests\": %" PRIu64
               ", \"requests_per_second\": %.0f, \"p50_us\": %.1f, \"p90_us\": %.1f, "
               "\"p99_us\": %.1f, \"p99.9_us\": %.1f, \"max_us\": %.1f}\n",
               options->connections, options->size, seconds, load->requests, rate, p50, p90, p99,
               p999, slowest);
        return;
    }
    printf("%d connections, %d bytes, %.2f s\n", options->connections, options->size, seconds);
    printf("%" PRIu64 " requests, %.0f requests/s\n", load->requests, rate);
    printf("latency p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f µs\n", p50, p90, p99, p999,
           slowest);
}

// --- the command line ---

static void usage(const char* why) {
    fprintf(stderr,
            "echo_load: %s\n"
            "usage: echo_load --port P [--connections 64] [--size 64] [--seconds 5] [--json]\n"
            "                 [--address 127.0.0.1]\n",
            why);
    exit(2);
}

static double number(const char* text, double low, double high, const char* why) {
    char* end;
    double value = text ? strtod(text, &end) : 0;
    if (!text || end == text || *end != '\0' || !(value >= low && value <= high)) usage(why);
    return value;
}

static int count(const char* text, int low, int high, const char* why) {
    double value = number(text, low, high, why);
    if (value != (int)value) usage(why);
    return (int)value;
}

static struct options parse(int argc, char** argv) {
    struct options options = {.address = "127.0.0.1", .connections = 64, .size = 64, .seconds = 5};
    for (int i = 1; i < argc; i++) {
        const char* name = argv[i];
        if (strcmp(name, "--json") == 0) {
            options.json = true;
            continue;
        }
        const char* value = argv[++i];  // argv ends with NULL, which no option accepts
        if (strcmp(name, "--port") == 0) {
            options.port = count(value, 1, 65535, "--port takes 1 to 65535");
        } else if (strcmp(name, "--connections") == 0) {
            options.connections =
                count(value, 1, connections_max, "--connections takes 1 to 16384");
        } else if (strcmp(name, "--size") == 0) {
            options.size = count(value, 1, size_max, "--size takes 1 to 1048576 bytes");
        } else if (strcmp(name, "--seconds") == 0) {
            options.seconds = number(value, 0.01, seconds_max, "--seconds takes 0.01 to 3600");
        } else if (strcmp(name, "--address") == 0) {
            options.address = value ? value : "";
        } else {
            usage("unknown option");
        }
    }
    struct in_addr address;
    if (inet_pton(AF_INET, options.address, &address) != 1 ||
        (ntohl(address.s_addr) >> 24) != IN_LOOPBACKNET)
        usage("only loopback addresses (127.x.x.x) may be loaded");
    if (options.port == 0) usage("--port is missing");
    if ((int64_t)options.connections * options.size > reply_bytes_max)
        usage("connections times size is limited to 1 GiB");
    return options;
}

int main(int argc, char** argv) {
    static struct load load;
    load.options = parse(argc, argv);
    open_load(&load);
    run(&load);
    report(&load);
    return 0;
}

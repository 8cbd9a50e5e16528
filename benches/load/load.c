// load.c: see load.h.

#define _GNU_SOURCE

#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

// --- the end ---

static void complain(const char* format, va_list arguments) {
    fflush(stdout);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

void fail(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    complain(format, arguments);
    va_end(arguments);
    exit(1);
}

void fail_errno(const char* what, int error) { fail("%s: %s", what, strerror(error)); }

void* checked(void* memory) {
    if (!memory) fail("out of memory");
    return memory;
}

// --- time ---

uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * ns_per_second + (uint64_t)now.tv_nsec;
}

// --- latency ---

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

void record(struct histogram* histogram, uint64_t ns) {
    histogram->counts[bucket_of(ns)]++;
    histogram->total++;
    if (ns > histogram->slowest_ns) histogram->slowest_ns = ns;
}

double percentile_us(const struct histogram* histogram, double share) {
    uint64_t rank = (uint64_t)(share * (double)histogram->total);
    uint64_t seen = 0;
    for (size_t bucket = 0; bucket < powers * sub_buckets; bucket++) {
        seen += histogram->counts[bucket];
        if (seen > rank) return (double)bucket_middle(bucket) / 1000;
    }
    return (double)histogram->slowest_ns / 1000;
}

void print_latency_json(const struct histogram* histogram) {
    printf(
        "\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, "
        "\"max_us\": %.1f",
        percentile_us(histogram, 0.50), percentile_us(histogram, 0.90),
        percentile_us(histogram, 0.99), percentile_us(histogram, 0.999),
        (double)histogram->slowest_ns / 1000);
}

void print_latency(const struct histogram* histogram) {
    printf("latency p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f µs\n",
           percentile_us(histogram, 0.50), percentile_us(histogram, 0.90),
           percentile_us(histogram, 0.99), percentile_us(histogram, 0.999),
           (double)histogram->slowest_ns / 1000);
}

// --- test bytes ---

void fill_random(unsigned char* bytes, size_t count) {
    uint64_t random = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < count; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        bytes[i] = (unsigned char)(random >> 32);
    }
}

// --- sockets ---

void raise_descriptor_limit(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

static int connect_with(const struct target* target, int flags) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)target->port)};
    inet_pton(AF_INET, target->address, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0) fail_errno("socket", errno);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // The time-out of sending is also the one of connecting.
    struct timeval patience = {.tv_sec = stall_seconds};
    if (!(flags & SOCK_NONBLOCK)) {
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
    if (connect(fd, (struct sockaddr*)&address, sizeof address) == 0) return fd;
    if ((flags & SOCK_NONBLOCK) && errno == EINPROGRESS) return fd;
    if (errno == EINPROGRESS) errno = ETIMEDOUT;
    fail("cannot connect to %s:%d: %s", target->address, target->port, strerror(errno));
}

int connect_to(const struct target* target) { return connect_with(target, 0); }
int begin_connect(const struct target* target) { return connect_with(target, SOCK_NONBLOCK); }

int open_epoll(void) {
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) fail_errno("epoll_create1", errno);
    return epoll;
}

void watch(int epoll, int fd, uint32_t wanted, void* data) {
    struct epoll_event event = {.events = wanted, .data.ptr = data};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0) fail_errno("epoll_ctl", errno);
}

int poll_events(int epoll, struct epoll_event* events) {
    int count = epoll_wait(epoll, events, events_max, 0);
    if (count < 0 && errno != EINTR) fail_errno("epoll_wait", errno);
    return count < 0 ? 0 : count;
}

size_t send_now(int fd, const void* bytes, size_t count) {
    for (;;) {
        ssize_t sent = send(fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0) return (size_t)sent;
        if (errno == EAGAIN) return 0;
        if (errno != EINTR) fail_errno("send", errno);
    }
}

size_t receive_now(int fd, void* bytes, size_t count) {
    for (;;) {
        ssize_t got = recv(fd, bytes, count, MSG_DONTWAIT);
        if (got > 0) return (size_t)got;
        if (got == 0) fail("the server closed a connection");
        if (errno == EAGAIN) return 0;
        if (errno != EINTR) fail_errno("receive", errno);
    }
}

// --- the command line ---

static const char* help_text = "";

void wrong_usage(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    complain(format, arguments);
    va_end(arguments);
    fputs(help_text, stderr);
    exit(2);
}

static double number(const struct option* option, const char* text) {
    char* end = NULL;
    double value = text ? strtod(text, &end) : 0;
    if (!text || end == text || *end != '\0' || !(value >= option->low && value <= option->high))
        wrong_usage("%s takes %.10g to %.10g", option->name, option->low, option->high);
    return value;
}

static int choice(const struct option* option, const char* text) {
    for (int i = 0; option->choices[i]; i++) {
        if (text && strcmp(option->choices[i], text) == 0) return i;
    }
    wrong_usage("%s does not take '%s'", option->name, text ? text : "");
}

static void take_value(const struct option* option, const char* text) {
    switch (option->kind) {
        case option_flag: break;
        case option_count: {
            double value = number(option, text);
            if (value != (int)value) wrong_usage("%s takes a whole number", option->name);
            *(int*)option->into = (int)value;
            break;
        }
        case option_number: *(double*)option->into = number(option, text); break;
        case option_choice: *(int*)option->into = choice(option, text); break;
        case option_text:
            if (!text) wrong_usage("%s takes a value", option->name);
            *(const char**)option->into = text;
            break;
    }
}

void parse_options(const struct option* options, const char* help, int argc, char** argv) {
    help_text = help;
    for (int i = 1; i < argc; i++) {
        const struct option* option = options;
        while (option->name && strcmp(option->name, argv[i]) != 0) option++;
        if (!option->name) wrong_usage("unknown option '%s'", argv[i]);
        if (option->kind == option_flag)
            *(bool*)option->into = true;
        else
            take_value(option, argv[++i]);  // argv ends with NULL, which no option accepts
    }
}

void check_target(const struct target* target) {
    struct in_addr address;
    if (inet_pton(AF_INET, target->address, &address) != 1 ||
        (ntohl(address.s_addr) >> 24) != IN_LOOPBACKNET)
        wrong_usage("only loopback addresses (127.x.x.x) may be loaded");
    if (target->port == 0) wrong_usage("--port is missing");
}

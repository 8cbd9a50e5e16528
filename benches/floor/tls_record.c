// tls_record: what OpenSSL takes for a record, with nothing around it but memory BIOs.
//
//   tls_record tls_echo_64 --seconds 1     SSL_read and SSL_write of 64 B, a request
//   tls_record tls_bulk_send --seconds 1   SSL_write of 16 KiB
//   tls_record tls_bulk_receive --seconds 1  SSL_read of 16 KiB
//   {"operations": …, "wall_ns": …, "cpu_ns": …, "bytes": …}
//
// It is the floor of whatever a server that uses OpenSSL adds to a clear one: no socket and no
// event loop. --connections 64 has as many take turns, as those of a server do: what a connection
// keeps is then no longer in the nearest cache. Only the server's side is timed: a batch of records
// is made by the client beforehand, and what the server wrote is opened and compared afterwards.
// TLS 1.3, AES-256-GCM, buffers kept.

#define _GNU_SOURCE

#include "load.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    record_bytes = 16 * 1024,
    peers_max = 64,
    overhead = 64,      // of a record, at most
    batch_of_64 = 256,  // records
    batch_of_16k = 16,
};

struct work {
    const char* name;
    size_t bytes;
    int batch;
    bool reads, writes;
};

static const struct work works[] = {
    {"tls_echo_64", 64, batch_of_64, true, true},
    {"tls_bulk_receive", record_bytes, batch_of_16k, true, false},
    {"tls_bulk_send", record_bytes, batch_of_16k, false, true},
};

static void expect(bool good, const char* what) {
    if (good) return;
    const char* reason = ERR_reason_error_string(ERR_peek_last_error());
    fail("%s: %s", what, reason ? reason : "TLS failed");
}

static uint64_t cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * ns_per_second + (uint64_t)now.tv_nsec;
}

// --- the two sides ---

static void use_a_certificate(SSL_CTX* context) {
    EVP_PKEY* key = checked(EVP_EC_gen("P-256"));
    X509* made = checked(X509_new());
    X509_gmtime_adj(X509_getm_notBefore(made), 0);
    X509_gmtime_adj(X509_getm_notAfter(made), 86400);
    expect(X509_set_pubkey(made, key) == 1 && X509_sign(made, key, EVP_sha256()) > 0 &&
               SSL_CTX_use_certificate(context, made) == 1 &&
               SSL_CTX_use_PrivateKey(context, key) == 1,
           "a certificate");
    X509_free(made);
    EVP_PKEY_free(key);
}

static SSL* make_side(const SSL_METHOD* method, bool serves) {
    SSL_CTX* context = checked(SSL_CTX_new(method));
    expect(SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
               SSL_CTX_set_ciphersuites(context, "TLS_AES_256_GCM_SHA384") == 1,
           "a context");
    SSL_CTX_set_num_tickets(context, 0);
    if (serves) use_a_certificate(context);
    SSL* side = checked(SSL_new(context));
    SSL_CTX_free(context);  // the side holds it
    SSL_set_bio(side, checked(BIO_new(BIO_s_mem())), checked(BIO_new(BIO_s_mem())));
    if (serves)
        SSL_set_accept_state(side);
    else
        SSL_set_connect_state(side);
    return side;
}

static void carry(SSL* from, SSL* to) {
    static char bytes[64 * 1024];
    int count;
    while ((count = BIO_read(SSL_get_wbio(from), bytes, sizeof bytes)) > 0)
        expect(BIO_write(SSL_get_rbio(to), bytes, count) == count, "memory");
}

static void shake_hands(SSL* client, SSL* server) {
    for (int round = 0; round < 8; round++) {
        SSL_do_handshake(client);
        carry(client, server);
        SSL_do_handshake(server);
        carry(server, client);
        ERR_clear_error();
    }
    expect(SSL_is_init_finished(client) && SSL_is_init_finished(server), "the handshake");
}

// --- a batch ---

struct run {
    const struct work* work;
    SSL *clients[peers_max], *servers[peers_max];
    int peers;
    unsigned char *clear, *wire, *into;
    size_t* sizes;  // of the records in `wire`
    size_t made;    // bytes in `wire`
};

static size_t place_bytes(const struct work* work) { return work->bytes + overhead; }

static void make_records(struct run* run) {
    const struct work* work = run->work;
    run->made = 0;
    for (int i = 0; i < work->batch; i++) {
        SSL* client = run->clients[i % run->peers];
        size_t written = 0;
        expect(SSL_write_ex(client, run->clear, work->bytes, &written) == 1, "the client");
        const int got =
            BIO_read(SSL_get_wbio(client), run->wire + run->made, (int)place_bytes(work));
        expect(got > 0, "the client's record");
        run->sizes[i] = (size_t)got;
        run->made += (size_t)got;
    }
}

// What is timed: records come from where a socket would have put them, and what is to be sent goes
// to where a socket would take it.
static void serve_batch(struct run* run) {
    const struct work* work = run->work;
    size_t at = 0, out = 0;
    for (int i = 0; i < work->batch; i++) {
        SSL* server = run->servers[i % run->peers];
        size_t got = work->bytes, written = 0;
        if (work->reads) {
            BIO_write(SSL_get_rbio(server), run->wire + at, (int)run->sizes[i]);
            at += run->sizes[i];
            expect(SSL_read_ex(server, run->into, record_bytes, &got) == 1, "SSL_read");
        }
        if (!work->writes) continue;
        const unsigned char* from = work->reads ? run->into : run->clear;
        expect(SSL_write_ex(server, from, got, &written) == 1, "SSL_write");
        // Behind what is still to be read: a record that is answered is as long as its answer.
        const int taken = BIO_read(SSL_get_wbio(server), run->wire + out, (int)place_bytes(work));
        expect(taken > 0, "a record");
        out += (size_t)taken;
        run->sizes[i] = (size_t)taken;
    }
    run->made = out;
}

static void check_batch(struct run* run) {
    const struct work* work = run->work;
    if (!work->writes) {
        expect(memcmp(run->into, run->clear, work->bytes) == 0, "a record differs");
        return;
    }
    const unsigned char* wire = run->wire;
    for (int i = 0; i < work->batch; i++) {
        SSL* client = run->clients[i % run->peers];
        size_t got = 0;
        BIO_write(SSL_get_rbio(client), wire, (int)run->sizes[i]);
        wire += run->sizes[i];
        memset(run->into, 0, work->bytes);
        expect(SSL_read_ex(client, run->into, record_bytes, &got) == 1 && got == work->bytes &&
                   memcmp(run->into, run->clear, got) == 0,
               "a record differs");
    }
}

static void measure(const struct work* work, double seconds, int peers) {
    struct run run = {.work = work, .peers = peers};
    const size_t batch = (size_t)work->batch;
    run.clear = checked(malloc(work->bytes));
    run.into = checked(malloc(record_bytes));
    run.wire = checked(malloc(batch * place_bytes(work)));
    run.sizes = checked(calloc(batch, sizeof *run.sizes));
    fill_random(run.clear, work->bytes);
    for (int i = 0; i < peers; i++) {
        run.clients[i] = make_side(TLS_client_method(), false);
        run.servers[i] = make_side(TLS_server_method(), true);
        shake_hands(run.clients[i], run.servers[i]);
    }

    const uint64_t start_ns = now_ns(), warm_ns = (uint64_t)(seconds * 1e9 / 5);
    const uint64_t whole_ns = (uint64_t)(seconds * 1e9);
    uint64_t operations = 0, wall = 0, cpu = 0, now;
    while ((now = now_ns() - start_ns) < whole_ns || operations == 0) {
        if (work->reads) make_records(&run);
        const uint64_t cpu_before = cpu_ns(), wall_before = now_ns();
        serve_batch(&run);
        const uint64_t cpu_after = cpu_ns(), wall_after = now_ns();
        check_batch(&run);
        if (now < warm_ns) continue;
        operations += batch;
        wall += wall_after - wall_before;
        cpu += cpu_after - cpu_before;
    }
    printf("{\"operations\": %" PRIu64 ", \"wall_ns\": %" PRIu64 ", \"cpu_ns\": %" PRIu64
           ", \"bytes\": %" PRIu64 "}\n",
           operations, wall, cpu, operations * work->bytes);

    for (int i = 0; i < peers; i++) {
        SSL_free(run.clients[i]);
        SSL_free(run.servers[i]);
    }
    free(run.clear);
    free(run.into);
    free(run.wire);
    free(run.sizes);
}

int main(int argc, char** argv) {
    static double seconds = 1;
    static int peers = 1;
    const struct option known[] = {
        {"--seconds", option_number, &seconds, 0.01, seconds_max, NULL},
        {"--connections", option_count, &peers, 1, peers_max, NULL},
        {0},
    };
    static const char help[] =
        "usage: tls_record WORK [--seconds 1] [--connections 1]\n"
        "WORK is tls_echo_64, tls_bulk_receive or tls_bulk_send\n";
    parse_options(known, help, argc > 1 ? argc - 1 : argc, argc > 1 ? argv + 1 : argv);
    for (size_t i = 0; argc > 1 && i < sizeof works / sizeof *works; i++) {
        if (strcmp(argv[1], works[i].name) != 0) continue;
        measure(&works[i], seconds, peers);
        return 0;
    }
    wrong_usage("which work?");
}

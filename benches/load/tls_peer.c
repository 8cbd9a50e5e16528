// tls_peer.c: see tls_peer.h.

#define _GNU_SOURCE

#include "tls_peer.h"

#include <openssl/err.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { piece_bytes = 64 * 1024 };

static _Noreturn void fail_tls(const char* what) {
    const char* reason = ERR_reason_error_string(ERR_peek_last_error());
    fail("%s: %s", what, reason ? reason : "TLS failed");
}

SSL_CTX* tls_client(int version, int (*on_ticket)(SSL*, SSL_SESSION*)) {
    SSL_CTX* context = checked(SSL_CTX_new(TLS_client_method()));
    if (SSL_CTX_set_min_proto_version(context, version) != 1 ||
        SSL_CTX_set_max_proto_version(context, version) != 1 ||
        SSL_CTX_set_ciphersuites(context, "TLS_AES_256_GCM_SHA384") != 1 ||
        SSL_CTX_set_cipher_list(context, "ECDHE-ECDSA-AES256-GCM-SHA384") != 1)
        fail_tls("a context");
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_read_ahead(context, 0);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    if (on_ticket) SSL_CTX_sess_set_new_cb(context, on_ticket);
    return context;
}

void tls_begin(struct tls_peer* peer, SSL_CTX* context, int fd, SSL_SESSION* session, void* data) {
    *peer = (struct tls_peer){.fd = fd, .ssl = checked(SSL_new(context))};
    SSL_set_bio(peer->ssl, checked(BIO_new(BIO_s_mem())), checked(BIO_new(BIO_s_mem())));
    SSL_set_app_data(peer->ssl, data);
    SSL_set_connect_state(peer->ssl);
    if (session && SSL_set_session(peer->ssl, session) != 1) fail_tls("a session");
}

bool tls_flush(struct tls_peer* peer) {
    if (!peer->ssl) return true;
    BIO* out = SSL_get_wbio(peer->ssl);
    for (;;) {
        char* bytes = NULL;
        const long count = BIO_get_mem_data(out, &bytes);
        if (count <= 0) return true;
        const size_t sent = send_now(peer->fd, bytes, (size_t)count);
        if (sent == (size_t)count) {
            (void)BIO_reset(out);
            return true;
        }
        if (sent == 0) return false;
        static char skipped[piece_bytes];
        for (size_t left = sent; left > 0;) {
            const int took = BIO_read(out, skipped, left < piece_bytes ? (int)left : piece_bytes);
            if (took <= 0) fail_tls("what is to be sent");
            left -= (size_t)took;
        }
    }
}

// Receives what is there; false when nothing is.
static bool fill(struct tls_peer* peer) {
    static char piece[piece_bytes];
    for (;;) {
        const ssize_t got = recv(peer->fd, piece, piece_bytes, MSG_DONTWAIT);
        if (got > 0) {
            if (BIO_write(SSL_get_rbio(peer->ssl), piece, (int)got) != got) fail("out of memory");
            return true;
        }
        if (got == 0) peer->ended = true;
        if (got == 0 || errno == EAGAIN || errno == ENOTCONN) return false;
        if (errno != EINTR) fail_errno("receive", errno);
    }
}

bool tls_shake_hands(struct tls_peer* peer) {
    while (!SSL_is_init_finished(peer->ssl)) {
        ERR_clear_error();
        const int done = SSL_do_handshake(peer->ssl);
        const int why = done == 1 ? SSL_ERROR_NONE : SSL_get_error(peer->ssl, done);
        if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ) fail_tls("the handshake");
        if (!tls_flush(peer)) return false;
        if (done == 1) break;
        if (fill(peer)) continue;
        if (peer->ended) fail("the server closed a connection in its handshake");
        return false;
    }
    return tls_flush(peer);
}

void tls_open(struct tls_peer* peer, const struct target* target, SSL_CTX* context) {
    const int fd = connect_to(target);
    if (!context) {
        *peer = (struct tls_peer){.fd = fd};
        return;
    }
    tls_begin(peer, context, fd, NULL, NULL);
    while (!tls_shake_hands(peer)) {
        struct pollfd state = {.fd = fd, .events = POLLIN};
        if (poll(&state, 1, stall_seconds * 1000) == 0) fail("the server has stopped answering");
    }
}

void tls_close(struct tls_peer* peer) {
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(peer->fd);
    SSL_free(peer->ssl);
}

void tls_put(struct tls_peer* peer, const void* bytes, size_t count) {
    size_t written = 0;
    if (SSL_write_ex(peer->ssl, bytes, count, &written) != 1 || written != count)
        fail_tls("what is to be sent");
}

size_t tls_take(struct tls_peer* peer, void* into, size_t room) {
    for (;;) {
        size_t got = 0;
        if (SSL_read_ex(peer->ssl, into, room, &got) == 1) return got;
        const int why = SSL_get_error(peer->ssl, 0);
        if (why == SSL_ERROR_ZERO_RETURN) {
            peer->ended = true;
            return 0;
        }
        if (why != SSL_ERROR_WANT_READ) fail_tls("what was received");
        if (!fill(peer)) return 0;
    }
}

void tls_end(struct tls_peer* peer) {
    SSL_shutdown(peer->ssl);
    tls_flush(peer);
}

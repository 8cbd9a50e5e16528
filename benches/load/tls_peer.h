// tls_peer.h: the client's side of a TLS connection, over a socket and memory BIOs.
//
// Everything fails with a sentence, like the rest of load.h.
#pragma once

#include "load.h"

#include <openssl/ssl.h>

struct tls_peer {
    int fd;
    SSL* ssl;    // NULL: the connection is clear
    bool ended;  // the server has closed the connection
};

// A context for clients of the versions from `version` to `version`, such as TLS1_3_VERSION. It
// offers AES-256-GCM alone, so that all servers use the same, and trusts everybody. Tickets that
// come are told to `on_ticket` with the peer's SSL; it may be NULL.
SSL_CTX* tls_client(int version, int (*on_ticket)(SSL*, SSL_SESSION*));

// Begins on a socket that is connected or connecting; with a `session` it asks for a resumption.
void tls_begin(struct tls_peer* peer, SSL_CTX* context, int fd, SSL_SESSION* session, void* data);

// Goes on with the handshake as far as it goes without waiting; true when it is done here and what
// it had to say has left.
bool tls_shake_hands(struct tls_peer* peer);

// Connects, shakes hands, and waits until that is done. `context` NULL: a clear connection.
void tls_open(struct tls_peer* peer, const struct target* target, SSL_CTX* context);

void tls_close(struct tls_peer* peer);  // by a reset, so that no port waits for stragglers

// Makes at most a record of `bytes`, which tls_flush() then sends.
void tls_put(struct tls_peer* peer, const void* bytes, size_t count);

// Sends what is pending; true when all of it has left.
bool tls_flush(struct tls_peer* peer);

// Clear bytes that are there now, from one record at most; 0 when there are none, or the connection
// has ended.
size_t tls_take(struct tls_peer* peer, void* into, size_t room);

// Says that nothing more is sent, and sends that as far as it goes.
void tls_end(struct tls_peer* peer);

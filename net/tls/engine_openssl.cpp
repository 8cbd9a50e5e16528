#include <ouro/net/tls/engine.hpp>
#include <ouro/runtime/check.hpp>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <new>
#include <utility>

namespace ouro::net::tls {
namespace {

// What a record adds, at most: header, explicit IV, padding, MAC (TLS 1.2, CBC with SHA-384).
constexpr std::size_t record_overhead = 5 + 16 + 16 + 48;
// What may go along with a put: a key update or a ticket.
constexpr std::size_t message_bytes = 128;

constexpr std::byte handshake_record{22}, alert_record{21};

bool is_printable(std::byte each) noexcept {
    return each >= std::byte{' '} && each <= std::byte{'~'};
}

/// The code for what the library calls `reason`.
errc code_of(int reason) noexcept {
    switch (reason) {
        case SSL_R_UNSUPPORTED_PROTOCOL:
        case SSL_R_NO_PROTOCOLS_AVAILABLE:
        case SSL_R_NO_SHARED_CIPHER:
        case SSL_R_NO_CIPHERS_AVAILABLE:
        case SSL_R_NO_SHARED_GROUPS:
        case SSL_R_NO_SUITABLE_GROUPS:
        case SSL_R_NO_SUITABLE_KEY_SHARE:
        case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
        case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        case SSL_R_INAPPROPRIATE_FALLBACK: return errc::nothing_in_common;
        case SSL_R_CERTIFICATE_VERIFY_FAILED:
        case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        case SSL_R_EE_KEY_TOO_SMALL:
        case SSL_R_CA_KEY_TOO_SMALL:
        case SSL_R_CA_MD_TOO_WEAK: return errc::certificate;
        case SSL_R_NO_APPLICATION_PROTOCOL: return errc::no_alpn;
        default: return errc::protocol;
    }
}

/// Whether the library's words are those of the alert that has come.
bool names_an_alert(unsigned long error) noexcept {
    return ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) >= SSL_AD_REASON_OFFSET;
}

int errno_of(std::error_code error) noexcept {
    if (error == errc::truncated) return -ECONNRESET;
    if (error == std::errc::not_enough_memory) return -ENOMEM;
    return -EPROTO;
}

std::size_t total_of(std::span<const iovec> from) noexcept {
    std::size_t total = 0;
    for (const iovec& each : from) total += each.iov_len;
    return total;
}

/// Appends up to `most` clear bytes from `from`, without its first `skipped`.
std::size_t copy_from(std::span<const iovec> from, std::size_t skipped, open_block& to,
                      std::size_t most) noexcept {
    std::size_t copied = 0;
    for (const iovec& each : from) {
        if (skipped >= each.iov_len) {
            skipped -= each.iov_len;
            continue;
        }
        const auto* const begin = static_cast<const std::byte*>(each.iov_base) + skipped;
        const std::size_t n = std::min(each.iov_len - skipped, most - copied);
        to.append(std::span(begin, n));
        copied += n;
        skipped = 0;
        if (copied == most) break;
    }
    return copied;
}

}  // namespace

// The library's way to our bytes.

struct engine::wire {
    static engine& of(BIO* by) noexcept { return *static_cast<engine*>(BIO_get_data(by)); }

    static int read(BIO* by, char* into, std::size_t size, std::size_t* got) {
        engine& self = of(by);
        BIO_clear_retry_flags(by);
        const auto there = self.unread();
        *got = std::min(size, there.size());
        if (*got == 0) {
            BIO_set_retry_read(by);  // an end, too: whether it is a good one, the engine knows
            return 0;
        }
        std::memcpy(into, there.data(), *got);
        self.in_read_ += *got;
        return 1;
    }

    static int write(BIO* by, const char* from, std::size_t size, std::size_t* taken) {
        BIO_clear_retry_flags(by);
        *taken = 0;
        if (!of(by).append(from, size)) return 0;
        *taken = size;
        return 1;
    }

    static long control(BIO*, int what, long, void*) { return what == BIO_CTRL_FLUSH ? 1 : 0; }

    static int created(BIO* by) {
        BIO_set_init(by, 1);
        return 1;
    }

    static const BIO_METHOD* method() noexcept {
        static const BIO_METHOD* const made = [] {
            BIO_METHOD* const method =
                BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "ouro");
            if (!method) return method;
            BIO_meth_set_read_ex(method, read);
            BIO_meth_set_write_ex(method, write);
            BIO_meth_set_ctrl(method, control);
            BIO_meth_set_create(method, created);
            return method;
        }();
        return made;
    }

    static void message(int written, int, int type, const void* bytes, std::size_t n, SSL*,
                        void* self) {
        static_cast<engine*>(self)->saw_message(written != 0, type,
                                                static_cast<const unsigned char*>(bytes), n);
    }
};

engine::engine(held<ssl_st> made, engine_terms terms)
    : ssl_(std::move(made)), in_bytes_(handshake_bytes), terms_(std::move(terms)) {
    OURO_ASSERT(ssl_ && "tls::engine: made without a connection of the library's");
    const clean_queue errors;
    BIO* const bytes = wire::method() ? BIO_new(wire::method()) : nullptr;
    if (!bytes) throw std::bad_alloc();
    BIO_set_data(bytes, this);
    SSL_set_bio(ssl_.get(), bytes, bytes);
    SSL_set_app_data(ssl_.get(), this);
    SSL_set_msg_callback(ssl_.get(), wire::message);
    SSL_set_msg_callback_arg(ssl_.get(), this);
    SSL_clear_mode(ssl_.get(), SSL_MODE_AUTO_RETRY);  // so that messages are counted one by one
    if (terms_.side == side::client)
        SSL_set_connect_state(ssl_.get());
    else
        SSL_set_accept_state(ssl_.get());
}

engine::~engine() {
    if (terms_.figures) {
        terms_.figures->records += records_sent_;
        terms_.figures->sends += sends_;
        terms_.figures->bytes += bytes_put_;
    }
    const clean_queue errors;
    ssl_.reset();
}

engine& engine::of(const ssl_st& connection) noexcept {
    return *static_cast<engine*>(SSL_get_app_data(&connection));
}

// The handshake.

engine::progress engine::handshake() noexcept {
    if (done_) return progress::done;
    if (error_) return progress::failed;
    const clean_queue errors;
    enter();
    const outcome came = settle(SSL_do_handshake(ssl_.get()));
    if (came == outcome::more) return progress::more;
    if (came == outcome::ok) {
        if (alpn_fits())
            done_ = true;
        else
            fail(errc::no_alpn);
    } else if (came == outcome::ended) {
        fail(errc::truncated, "the peer closed during the handshake");
    }
    in_bytes_ = rest_bytes;
    return done_ ? progress::done : progress::failed;
}

/// The peer has chosen one of those that were offered, or need not choose.
bool engine::alpn_fits() const noexcept {
    const unsigned char* chosen = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &chosen, &size);
    if (size == 0) return !terms_.alpn_required;
    if (terms_.side == side::server) return true;
    const std::string_view name(reinterpret_cast<const char*>(chosen), size);
    for (std::string_view left = terms_.offered; !left.empty();) {
        const std::size_t length = static_cast<unsigned char>(left.front());
        if (left.substr(1, length) == name) return true;
        left.remove_prefix(std::min(left.size(), 1 + length));
    }
    return false;
}

/// The first record begins with its type and a 3, or it is none.
void engine::check_first(std::span<const std::byte> bytes) noexcept {
    for (std::size_t at = 0; first_bytes_ < 2 && at < bytes.size(); ++at, ++first_bytes_) {
        const std::byte each = bytes[at];
        const bool fits = first_bytes_ == 0 ? each == handshake_record || each == alert_record
                                            : each == std::byte{3};
        if (fits) continue;
        const bool text = is_printable(bytes.front());
        fail(errc::not_tls, text ? "it looks like text" : "it is no record of TLS");
        return;
    }
}

// Receiving.

std::span<std::byte> engine::space() noexcept {
    OURO_ASSERT(unread().empty() && "tls::engine: space() while something is left to be read");
    if (done_ && std::exchange(keeps_buffer_, false)) SSL_free_buffers(ssl_.get());
    if (in_.capacity() < in_bytes_ || in_.capacity() > 2 * in_bytes_) {
        try {
            in_ = open_block();
            in_ = open_block(in_bytes_);
        } catch (const std::bad_alloc&) {
            in_read_ = 0;
            return {};
        }
    }
    in_.restart();
    in_read_ = 0;
    return in_.free();
}

void engine::received(std::size_t n) noexcept {
    if (n == 0) {
        wire_ended_ = true;
        return;
    }
    OURO_ASSERT(n <= in_.free().size());
    if (n == in_.capacity())
        in_bytes_ = std::min(4 * in_bytes_, receive_bytes_max);
    else if (n < in_.capacity() / 8)
        in_bytes_ = rest_bytes;
    in_.append(n);
    if (first_bytes_ < 2) check_first(unread());
    if (error_) in_read_ = in_.used();
}

/// True when it is, and need not be found out by decrypting.
bool engine::ready_at_a_glance() const noexcept {
    return error_ || ended_ || wire_ended_ || SSL_pending(ssl_.get()) > 0;
}

bool engine::ready() noexcept {
    if (ready_at_a_glance()) return true;
    if (!done_ || unread().empty()) return false;
    const clean_queue errors;
    std::byte one;
    std::size_t n = 0;
    return read({&one, 1}, n, true) != outcome::more;
}

int engine::take(std::span<std::byte> into) noexcept {
    OURO_ASSERT((done_ || error_) && "tls::engine: take() before the handshake is done");
    if (into.empty()) return 0;
    into = into.first(std::min<std::size_t>(into.size(), INT_MAX));
    const clean_queue errors;
    if (!ready_at_a_glance() && unread().empty()) return -EAGAIN;
    std::size_t taken = 0;
    while (taken < into.size() && !error_ && !ended_) {
        std::size_t n = 0;
        if (read(into.subspan(taken), n, false) != outcome::ok) break;
        taken += n;
        if (unread().empty() && SSL_pending(ssl_.get()) == 0) break;
    }
    if (taken > 0) return static_cast<int>(taken);
    return error_ ? errno_of(error_) : ended_ ? 0 : -EAGAIN;
}

/// Decrypts from one record. Tickets and key updates before it are dealt with on the way.
engine::outcome engine::read(std::span<std::byte> into, std::size_t& n, bool peek) noexcept {
    enter();
    for (;;) {
        const std::size_t before = unread().size();
        const unsigned messages = quiet_messages_;
        const int answer = peek ? SSL_peek_ex(ssl_.get(), into.data(), into.size(), &n)
                                : SSL_read_ex(ssl_.get(), into.data(), into.size(), &n);
        const outcome came = settle(answer);
        if (came == outcome::ok) {
            quiet_messages_ = 0;
            terms_.forget_session = nullptr;  // it is a good one
        }
        if (quiet_messages_ > quiet_messages_max) {
            fail(errc::too_many_messages);
            return outcome::failed;
        }
        if (!held_back_.appended().empty()) send_held_back();
        if (came != outcome::more) return came;
        // It stops behind each message, and may have the next one of that record by then.
        if (quiet_messages_ != messages) continue;
        if (unread().empty()) return came;
        if (unread().size() == before) {
            fail(errc::protocol, "the library does not go on");
            return outcome::failed;
        }
    }
}

/// What the library's answer means. Nothing of its was called since.
engine::outcome engine::settle(int answer) noexcept {
    if (answer == 1 && !no_memory_) return outcome::ok;
    switch (no_memory_ ? SSL_ERROR_SSL : SSL_get_error(ssl_.get(), answer)) {
        case SSL_ERROR_WANT_READ:
            if (!wire_ended_ || !unread().empty()) return outcome::more;
            fail(errc::truncated);
            break;
        case SSL_ERROR_ZERO_RETURN: ended_ = true; return outcome::ended;
        default: fail(noted_ != errc{} ? noted_ : errc::protocol); break;
    }
    in_read_ = in_.used();
    return outcome::failed;
}

// Sending.

int engine::put(std::span<const iovec> from) noexcept {
    OURO_ASSERT(done_ && "tls::engine: put() before the handshake is done");
    OURO_ASSERT(!end_sent_ && "tls::engine: put() behind the end");
    if (error_ && error_ != errc::truncated) return errno_of(error_);
    const std::size_t total = std::min(total_of(from), put_bytes_max);
    if (total == 0) return 0;
    const clean_queue errors;
    enter();
    open_block& out = into_back_ ? back_ : front_;
    const std::size_t records = (total + record_bytes_max - 1) / record_bytes_max;
    if (!reserve(out, total + records * record_overhead + message_bytes)) return -ENOMEM;
    if (records_sent_ - records_at_update_ > records_per_key_max) update_keys(false);

    std::size_t taken = 0;
    open_block gathered;
    while (taken < total && held_back_.appended().empty()) {
        const std::size_t size = std::min(total - taken, record_bytes_max);
        std::span<const std::byte> clear;
        if (from.front().iov_len >= taken + size) {
            clear = {static_cast<const std::byte*>(from.front().iov_base) + taken, size};
        } else {
            try {
                if (gathered.capacity() < size) gathered = open_block(size);
            } catch (const std::bad_alloc&) {
                break;
            }
            gathered.restart();
            copy_from(from, taken, gathered, size);
            clear = gathered.appended();
        }
        if (!write(clear)) break;
        taken += size;
    }
    if (taken == 0 && !error_ && SSL_in_init(ssl_.get()) && !hold_back(from, taken))
        fail(errc::too_many_messages, "a message of the peer's remains unfinished");
    bytes_put_ += taken;
    if (taken > 0) return static_cast<int>(taken);
    return error_ ? errno_of(error_) : -ENOMEM;
}

/// Makes it one record; false when that failed, or has to wait for a receive.
bool engine::write(std::span<const std::byte> clear) noexcept {
    std::size_t written = 0;
    const int answer = SSL_write_ex(ssl_.get(), clear.data(), clear.size(), &written);
    if (answer == 1 && !no_memory_) return true;
    if (no_memory_ || SSL_get_error(ssl_.get(), answer) != SSL_ERROR_WANT_READ)
        fail(errc::protocol);
    return false;
}

/// Keeps clear bytes until the peer has finished its message.
bool engine::hold_back(std::span<const iovec> from, std::size_t& taken) noexcept {
    try {
        if (held_back_.capacity() == 0) held_back_ = open_block(held_back_max);
    } catch (const std::bad_alloc&) {
        return false;
    }
    taken = copy_from(from, 0, held_back_, std::min(held_back_.free().size(), total_of(from)));
    return taken > 0;
}

void engine::send_held_back() noexcept {
    if (error_ || SSL_in_init(ssl_.get())) return;
    std::span<const std::byte> left = held_back_.appended();
    while (!left.empty()) {
        const auto record = left.first(std::min(left.size(), record_bytes_max));
        if (!write(record)) return;
        left = left.subspan(record.size());
    }
    held_back_ = open_block();
}

void engine::sent(std::size_t n) noexcept {
    OURO_ASSERT(n <= pending().size());
    front_sent_ += n;
    ++sends_;
    if (!pending().empty()) return;
    front_ = std::move(back_);
    back_ = open_block();
    front_sent_ = 0;
}

int engine::end() noexcept {
    if (std::exchange(end_sent_, true)) return 0;
    if (error_ && error_ != errc::truncated) return errno_of(error_);
    if (!held_back_.appended().empty()) return -EPROTO;  // an end behind a gap would be a lie
    const clean_queue errors;
    enter();
    const int answer = SSL_shutdown(ssl_.get());
    if (!no_memory_) return answer < 0 ? -EPROTO : 0;
    fail_memory();
    return -ENOMEM;
}

bool engine::update_keys(bool both) noexcept {
    if (!done_ || end_sent_ || error_ || SSL_version(ssl_.get()) != TLS1_3_VERSION) return false;
    const clean_queue errors;
    enter();
    records_at_update_ = records_sent_;
    const int how = both ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED;
    if (SSL_in_init(ssl_.get()) || SSL_key_update(ssl_.get(), how) != 1) return false;
    return settle(SSL_do_handshake(ssl_.get())) == outcome::ok;
}

bool engine::append(const char* bytes, std::size_t n) noexcept {
    open_block& to = into_back_ ? back_ : front_;
    if (into_back_ && back_.used() + n > back_bytes_max) {
        note(errc::too_many_messages);  // it makes us answer and does not read
        return false;
    }
    if (!reserve(to, n)) {
        no_memory_ = true;
        return false;
    }
    to.append(std::as_bytes(std::span(bytes, n)));
    return true;
}

/// Makes room for `more` behind what is there; nothing of it is in flight.
bool engine::reserve(open_block& in, std::size_t more) noexcept {
    if (in.free().size() >= more) return true;
    try {
        open_block larger(in.used() + more);
        larger.append(in.appended());
        in = std::move(larger);
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

// What went wrong.

void engine::saw_message(bool written, int type, const unsigned char* bytes,
                         std::size_t n) noexcept {
    if (type == SSL3_RT_HEADER) {
        if (written) ++records_sent_;
        return;
    }
    if (type == SSL3_RT_HANDSHAKE || type == SSL3_RT_ALERT) keeps_buffer_ = true;
    if (type == SSL3_RT_ALERT && n >= 2) {
        if (bytes[0] == SSL3_AL_FATAL)
            (written ? alert_sent_ : alert_received_) = bytes[1];
        else if (written && done_ && bytes[1] != SSL_AD_CLOSE_NOTIFY)
            ++quiet_messages_;  // it was asked for what it does not do, such as renegotiation
    } else if (type == SSL3_RT_HANDSHAKE && !written && done_) {
        ++quiet_messages_;
    }
}

void engine::note_certificate(certificate_fault fault, int depth, const char* reason,
                              const x509_st* leaf) noexcept {
    if (complaint_) return;
    note(errc::certificate);
    try {
        complaint_ = std::make_unique<failure>();
        complaint_->fault = fault;
        complaint_->depth = depth;
        complaint_->reason = reason;
        if (leaf) complaint_->names = certificate_names(*leaf, 100);
    } catch (const std::bad_alloc&) {
        no_memory_ = true;
    }
}

void engine::fail_memory() noexcept {
    error_ = std::make_error_code(std::errc::not_enough_memory);
    in_read_ = in_.used();
}

/// Whether it has to do with the session that was offered: nothing else was agreed on yet.
bool engine::resumption_failed() const noexcept {
    if (!terms_.forget_session) return false;
    if (alert_received_ == failure::no_alert && alert_sent_ == failure::no_alert) return false;
    const bool unanswered = SSL_get_state(ssl_.get()) == TLS_ST_CW_CLNT_HELLO;
    return unanswered || SSL_session_reused(ssl_.get()) == 1;
}

void engine::fail(errc what, const char* reason) noexcept {
    if (error_) return;
    const unsigned long oldest = ERR_peek_error();
    if (no_memory_ || ERR_GET_REASON(oldest) == ERR_R_MALLOC_FAILURE) {
        fail_memory();
        return;
    }
    if (what == errc::protocol) {
        what = code_of(ERR_GET_REASON(oldest));
        if (alert_received_ == SSL_AD_NO_APPLICATION_PROTOCOL)
            what = errc::no_alpn;
        else if (alert_received_ != failure::no_alert)
            what = errc::alert_received;
        else if (what == errc::protocol && alert_sent_ != failure::no_alert)
            what = errc::alert_sent;
    }
    error_ = what;
    in_read_ = in_.used();
    const bool resuming = resumption_failed();
    if (resuming) terms_.forget_session(*ssl_);
    try {
        failure why = complaint_ ? std::move(*complaint_) : failure();
        complaint_.reset();
        why.what = what;
        why.host = terms_.host;
        if (reason)
            why.reason = reason;
        else if (why.reason.empty() && oldest != 0 && !names_an_alert(oldest) &&
                 ERR_reason_error_string(oldest))
            why.reason = ERR_reason_error_string(oldest);
        why.resuming = resuming;
        const bool ours = alert_received_ == failure::no_alert;
        if (what != errc::truncated) why.alert = ours ? alert_sent_ : alert_received_;
        if (what == errc::certificate && why.fault == certificate_fault::none)
            why.fault = ERR_GET_REASON(oldest) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE
                            ? certificate_fault::missing
                            : certificate_fault::weak;
        why_ = std::make_shared<const failure>(std::move(why));
    } catch (const std::bad_alloc&) {
        why_.reset();  // the code says enough
    }
}

// Questions.

tls::info engine::info() const {
    const clean_queue errors;
    tls::info made;
    made.version = SSL_version(ssl_.get()) == TLS1_2_VERSION ? version::tls1_2 : version::tls1_3;
    if (const SSL_CIPHER* const cipher = SSL_get_current_cipher(ssl_.get()))
        made.cipher = SSL_CIPHER_get_name(cipher);
    const unsigned char* alpn = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &alpn, &size);
    if (size > 0) made.alpn.assign(reinterpret_cast<const char*>(alpn), size);
    if (const char* const name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name))
        made.server_name = name;
    made.resumed = SSL_session_reused(ssl_.get()) == 1;
    return made;
}

std::optional<certificate> engine::peer_certificate() const {
    const X509* const shown = SSL_get0_peer_certificate(ssl_.get());
    if (!shown) return std::nullopt;
    return read_certificate(*shown);
}

std::vector<std::byte> engine::server_end_point() const {
    const X509* const servers = terms_.side == side::client ? SSL_get0_peer_certificate(ssl_.get())
                                                            : SSL_get_certificate(ssl_.get());
    if (!servers) return {};
    return end_point_digest(*servers);
}

bool engine::export_key(std::string_view label, std::string_view context,
                        std::span<std::byte> into) const noexcept {
    const clean_queue errors;
    return done_ &&
           SSL_export_keying_material(ssl_.get(), reinterpret_cast<unsigned char*>(into.data()),
                                      into.size(), label.data(), label.size(),
                                      reinterpret_cast<const unsigned char*>(context.data()),
                                      context.size(), 1) == 1;
}

}  // namespace ouro::net::tls

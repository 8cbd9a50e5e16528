#include <ouro/net/tls/handshake.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/clock.hpp>
#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/sync/semaphore.hpp>
#include <ouro/runtime/timeout.hpp>

#include <utility>

namespace ouro::net {
namespace tls {
namespace {

semaphore& limit_of(const handshake_options& options) noexcept {
    static thread_local semaphore own(handshakes_at_once_max);
    return options.limit ? *options.limit : own;
}

task<result<void>> send_pending(stream& on, engine& by) {
    while (!by.pending().empty()) {
        const auto sent = co_await as_result(on.send(by.pending()));
        if (!sent) co_return sent.error();
        by.sent(*sent);
    }
    co_return {};
}

/// Sending has failed: a peer that gave up has said why before it closed, perhaps.
task<std::error_code> hear_why(stream& on, engine& by, std::error_code failed) {
    if (failed != std::errc::broken_pipe && failed != std::errc::connection_reset) co_return failed;
    while (by.handshake() == engine::progress::more) {
        const std::span<std::byte> space = by.space();
        if (space.empty()) co_return failed;
        const auto got = co_await as_result(on.recv(space));
        if (!got || *got == 0) co_return failed;
        by.received(*got);
    }
    co_return by.error() ? by.error() : failed;
}

/// Sends and receives until the engine is done, or has failed and the peer was told.
task<result<void>> exchange(stream& on, engine& by, semaphore& limit) {
    const auto permit = co_await as_result(limit.acquire());
    if (!permit) co_return permit.error();
    for (;;) {
        const engine::progress now = by.handshake();
        const auto sent = co_await send_pending(on, by);
        if (now == engine::progress::failed) co_return by.error();
        if (!sent) co_return co_await hear_why(on, by, sent.error());
        if (now == engine::progress::done) co_return {};
        const std::span<std::byte> space = by.space();
        if (space.empty()) co_return std::make_error_code(std::errc::not_enough_memory);
        const auto got = co_await as_result(on.recv(space));
        if (!got) co_return got.error();
        by.received(*got);
    }
}

/// The error with everything that is known.
[[noreturn]] void raise(std::error_code code, const engine& by) {
    if (by.why()) throw error(*by.why());
    if (code.category() == category()) {
        failure why;
        why.what = static_cast<errc>(code.value());
        why.host = by.terms().host;
        throw error(std::move(why));
    }
    std::string words = "TLS handshake";
    if (!by.terms().host.empty()) words += " with " + by.terms().host;
    throw std::system_error(code, words);
}

task<secured> shake_hands(stream wire, std::shared_ptr<engine> by, handshake_options options) {
    const time_point begin = clock::exact_now();
    semaphore& limit = limit_of(options);
    const auto ended = co_await as_result(timeout(options.time_limit, exchange(wire, *by, limit)));
    worker_figures& figures = *by->terms().figures;
    if (!ended) {
        const bool late = ended.error() == ouro::errc::timed_out;
        const std::error_code code = late ? errc::handshake_timeout : ended.error();
        figures.count_failed(code);
        if (wire.is_open()) (void)wire.shutdown(half::send);  // behind the alert
        raise(code, *by);
    }
    session made(by);
    figures.count_done(made.info().resumed, clock::exact_now() - begin);
    wire.put_layer(std::move(by));
    co_return secured(std::move(wire), std::move(made));
}

/// The port at the other end; 0 where there is none.
std::uint16_t port_of(const stream& wire) noexcept {
    const auto peer = peer_endpoint(wire.fd());
    return peer ? peer->port() : 0;
}

}  // namespace

session::session(std::shared_ptr<engine> of)
    : engine_(std::move(of)), info_(std::make_shared<const tls::info>(engine_->info())) {}

std::vector<std::byte> session::exporter_binding() const {
    std::vector<std::byte> made(32);
    if (!export_key("EXPORTER-Channel-Binding", "", made)) made.clear();
    return made;
}

}  // namespace tls

task<tls::secured> tls_accept(stream wire, const tls::server_context& context,
                              tls::handshake_options options) {
    std::shared_ptr<tls::engine> by = context.make_engine(executor::current().worker());
    co_return co_await tls::shake_hands(std::move(wire), std::move(by), options);
}

task<tls::secured> tls_connect(stream wire, const tls::client_context& context, std::string host,
                               tls::handshake_options options) {
    const std::uint16_t port = tls::port_of(wire);
    std::shared_ptr<tls::engine> by = context.make_engine(host, port, executor::current().worker());
    co_return co_await tls::shake_hands(std::move(wire), std::move(by), options);
}

}  // namespace ouro::net

// Without OpenSSL: whoever asks for TLS is told how to get it.
#include <ouro/net/tls/context.hpp>

#include <utility>

namespace ouro::net::tls {

class context_core {};

namespace {

[[noreturn]] void refuse() {
    failure why;
    why.what = errc::not_built;
    throw error(std::move(why));
}

}  // namespace

bool available() noexcept { return false; }

context::context(std::unique_ptr<context_core> core) noexcept : core_(std::move(core)) {}
context::~context() = default;
tls::stats context::stats() const { return {}; }
worker_figures& context::figures(unsigned) const noexcept {
    static worker_figures none;
    return none;
}

server_context::server_context(server_options) : context(nullptr) { refuse(); }
void server_context::reload() { refuse(); }
void server_context::reload(server_options) { refuse(); }
std::unique_ptr<engine> server_context::make_engine(unsigned) const { refuse(); }

client_context::client_context(client_options) : context(nullptr) { refuse(); }
void client_context::reload() { refuse(); }
void client_context::reload(client_options) { refuse(); }
std::unique_ptr<engine> client_context::make_engine(std::string_view, std::uint16_t,
                                                    unsigned) const {
    refuse();
}

}  // namespace ouro::net::tls

// Without OpenSSL no context can be made, so there is no engine whose functions these are.
#include <ouro/net/tls/context.hpp>
#include <ouro/net/tls/engine.hpp>
#include <ouro/runtime/check.hpp>

#include <utility>

namespace ouro::net::tls {
namespace {

void never() noexcept { OURO_ASSERT(available() && "tls: ouro was built without it"); }

}  // namespace

void let_go::operator()(ssl_st*) const noexcept {}

engine::engine(held<ssl_st> made, engine_terms terms)
    : ssl_(std::move(made)), in_bytes_(rest_bytes), terms_(std::move(terms)) {
    never();
}
engine::~engine() = default;

engine::progress engine::handshake() noexcept {
    never();
    return progress::failed;
}
int engine::take(std::span<std::byte>) noexcept {
    never();
    return 0;
}
bool engine::ready() noexcept {
    never();
    return true;
}
std::span<std::byte> engine::space() noexcept {
    never();
    return {};
}
void engine::received(std::size_t) noexcept { never(); }
int engine::put(std::span<const iovec>) noexcept {
    never();
    return 0;
}
void engine::sent(std::size_t) noexcept { never(); }
int engine::end() noexcept {
    never();
    return 0;
}
bool engine::update_keys(bool) noexcept {
    never();
    return false;
}

tls::info engine::info() const { return {}; }
std::optional<certificate> engine::peer_certificate() const { return std::nullopt; }
std::vector<std::byte> engine::server_end_point() const { return {}; }
bool engine::export_key(std::string_view, std::string_view, std::span<std::byte>) const noexcept {
    return false;
}

}  // namespace ouro::net::tls

#include <ouro/kv/memcached/error.hpp>

namespace ouro::memcached {
namespace {

class memcached_category final : public std::error_category {
public:
    const char* name() const noexcept override { return "memcached"; }

    std::string message(int code) const override {
        switch (static_cast<errc>(code)) {
            case errc::bad_key: return "not a key: 1 to 250 bytes, no blank or control character";
            case errc::value_too_large: return "the value is too large";
            case errc::bad_argument: return "bad argument";
            case errc::unknown_command: return "the server does not know the command";
            case errc::client_error: return "the server found fault with the request";
            case errc::server_error: return "the server failed";
            case errc::out_of_memory: return "the server is out of memory";
            case errc::not_a_number: return "the value is not a number";
            case errc::bad_reply: return "not a reply of memcached to this request";
            case errc::wrong_opaque: return "a reply to another request";
            case errc::not_authenticated: return "not authenticated";
            case errc::too_many_connections: return "the server has too many connections";
            case errc::framing_in_doubt: return "the server may have misread another request";
            case errc::server_down: return "the server is marked down";
            case errc::unsupported: return "not supported";
            case errc::stats_too_large: return "too many statistics";
        }
        return "unknown memcached error " + std::to_string(code);
    }

    std::error_condition default_error_condition(int code) const noexcept override {
        switch (static_cast<errc>(code)) {
            case errc::bad_key:
            case errc::bad_argument: return std::errc::invalid_argument;
            case errc::value_too_large: return std::errc::message_size;
            case errc::bad_reply:
            case errc::wrong_opaque: return std::errc::protocol_error;
            case errc::not_authenticated: return std::errc::permission_denied;
            case errc::framing_in_doubt: return std::errc::connection_aborted;
            case errc::server_down: return std::errc::host_unreachable;
            case errc::unsupported: return std::errc::operation_not_supported;
            default: return {code, *this};
        }
    }
};

/// "127.0.0.1:11211: SERVER_ERROR out of memory", or as much of it as there is.
std::string sentence(std::string_view words, std::string_view server) {
    std::string all(server);
    if (!server.empty() && !words.empty()) all += ": ";
    all += words;
    return all;
}

bool contains(std::string_view words, std::string_view what) noexcept {
    return words.find(what) != std::string_view::npos;
}

}  // namespace

const std::error_category& category() noexcept {
    static const memcached_category instance;
    return instance;
}

error::error(std::error_code code, net::fate how_far, std::string_view server,
             std::string_view words)
    : std::system_error(code, sentence(words, server)),
      words_(words),
      server_(server),
      how_far_(how_far) {}

std::string without_secret(std::string text, std::string_view secret) {
    constexpr std::string_view stars = "***";
    if (secret.empty()) return text;
    for (std::size_t at = text.find(secret); at != std::string::npos;
         at = text.find(secret, at + stars.size()))
        text.replace(at, secret.size(), stars);
    return text;
}

errc code_of_client_error(std::string_view words) noexcept {
    if (contains(words, "non-numeric")) return errc::not_a_number;
    if (contains(words, "unauthenticated") || contains(words, "authentication failure"))
        return errc::not_authenticated;
    return errc::client_error;
}

errc code_of_server_error(std::string_view words) noexcept {
    if (contains(words, "too large")) return errc::value_too_large;
    if (contains(words, "out of memory")) return errc::out_of_memory;
    return errc::server_error;
}

errc code_of_error(std::string_view words) noexcept {
    return contains(words, "Too many open connections") ? errc::too_many_connections
                                                        : errc::unknown_command;
}

}  // namespace ouro::memcached

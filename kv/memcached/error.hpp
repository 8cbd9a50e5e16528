// error.hpp: what can go wrong between a memcached client and its servers.
#pragma once

#include <ouro/net/session/fate.hpp>
#include <ouro/runtime/error.hpp>

#include <string>
#include <string_view>
#include <system_error>

namespace ouro::memcached {

/// Errors of the memcached client. Those of sockets and of the runtime keep their own categories.
enum class errc {
    bad_key = 1,           ///< not 1 to 250 bytes, or a blank or control character in it
    value_too_large,       ///< above the client's limit, or above the server's ("object too large")
    bad_argument,          ///< what no dialect can say: a list of commands in a stats name, …
    unknown_command,       ///< the server answered ERROR: it does not know the command
    client_error,          ///< the server answered CLIENT_ERROR: it found fault with the request
    server_error,          ///< the server answered SERVER_ERROR: it could not do it
    out_of_memory,         ///< the server has no memory left for the item
    not_a_number,          ///< increment or decrement of a value that is no 64-bit number
    bad_reply,             ///< bytes that are no reply, or none to this request; connection closed
    wrong_opaque,          ///< a reply with another request's opaque; connection closed
    not_authenticated,     ///< the server wants a user and a password, or other ones
    too_many_connections,  ///< the server is at its limit of connections
    framing_in_doubt,      ///< closed because the server may have misread another's request
    server_down,           ///< the key's server is marked down
    unsupported,           ///< this dialect, or this build, has no such thing
    stats_too_large,       ///< more statistics than the client takes
};

/// The category of `errc`; its name is "memcached".
const std::error_category& category() noexcept;

inline std::error_code make_error_code(errc code) noexcept {
    return {static_cast<int>(code), category()};
}

/// `text` with every `secret` in it replaced by "***"; an empty one is none.
std::string without_secret(std::string text, std::string_view secret);

/// The exception of the client: the code, the server and its words, and how far the request came.
class error : public std::system_error {
public:
    /// `words` is the server's line, or why there is none; `server` is who was asked.
    error(std::error_code code, net::fate how_far, std::string_view server, std::string_view words);

    /// The server's own words, without the line's end; empty when it said nothing.
    const std::string& words() const noexcept { return words_; }
    /// The server that was asked; empty when none was.
    const std::string& server() const noexcept { return server_; }
    /// Whether the request had its effect, as far as can be known.
    net::fate how_far() const noexcept { return how_far_; }

private:
    std::string words_;
    std::string server_;
    net::fate how_far_;
};

/// The code for the words behind CLIENT_ERROR and SERVER_ERROR, or of a line ERROR….
errc code_of_client_error(std::string_view words) noexcept;
errc code_of_server_error(std::string_view words) noexcept;
errc code_of_error(std::string_view words) noexcept;

}  // namespace ouro::memcached

template <>
struct std::is_error_code_enum<ouro::memcached::errc> : std::true_type {};

#include <ouro/kv/memcached/error.hpp>

#include <doctest/doctest.h>

#include <ostream>
#include <set>
#include <string>

namespace ouro::memcached {
namespace {

TEST_CASE("every code has a message of its own, and an unknown one says so") {
    std::set<std::string> seen;
    for (int code = 1; code <= static_cast<int>(errc::stats_too_large); ++code) {
        const std::string text = category().message(code);
        CHECK(text.find("unknown memcached") == std::string::npos);
        CHECK(seen.insert(text).second);
    }
    CHECK(category().message(0).find("unknown memcached error 0") == 0);
    CHECK(category().message(99).find("unknown memcached error 99") == 0);
    CHECK(std::string_view(category().name()) == "memcached");
}

TEST_CASE("codes compare equal to the system's conditions of the same meaning") {
    CHECK(make_error_code(errc::bad_key) == std::errc::invalid_argument);
    CHECK(make_error_code(errc::value_too_large) == std::errc::message_size);
    CHECK(make_error_code(errc::wrong_opaque) == std::errc::protocol_error);
    CHECK(make_error_code(errc::framing_in_doubt) == std::errc::connection_aborted);
    CHECK(make_error_code(errc::server_down) == std::errc::host_unreachable);
    CHECK(make_error_code(errc::not_authenticated) == std::errc::permission_denied);
    CHECK(make_error_code(errc::server_error) == errc::server_error);
}

TEST_CASE("an error carries the server, its words and what became of the request") {
    const error caught(errc::out_of_memory, net::fate::answered, "127.0.0.1:11211",
                       "SERVER_ERROR out of memory");
    CHECK(caught.code() == errc::out_of_memory);
    CHECK(caught.how_far() == net::fate::answered);
    CHECK(caught.words() == "SERVER_ERROR out of memory");
    CHECK(caught.server() == "127.0.0.1:11211");
    CHECK(std::string_view(caught.what()) ==
          "127.0.0.1:11211: SERVER_ERROR out of memory: the server is out of memory");
    const error silent(errc::bad_key, net::fate::unsent, "", "");
    CHECK(std::string_view(silent.what()).find("1 to 250 bytes") != std::string_view::npos);
}

TEST_CASE("what servers say becomes the code that means it") {
    CHECK(code_of_server_error("SERVER_ERROR object too large for cache") == errc::value_too_large);
    CHECK(code_of_server_error("SERVER_ERROR out of memory storing object") == errc::out_of_memory);
    CHECK(code_of_server_error("SERVER_ERROR proxy backend failed") == errc::server_error);
    CHECK(code_of_client_error("CLIENT_ERROR cannot increment or decrement non-numeric value") ==
          errc::not_a_number);
    CHECK(code_of_client_error("CLIENT_ERROR unauthenticated") == errc::not_authenticated);
    CHECK(code_of_client_error("CLIENT_ERROR authentication failure") == errc::not_authenticated);
    CHECK(code_of_client_error("CLIENT_ERROR bad data chunk") == errc::client_error);
    CHECK(code_of_error("ERROR Too many open connections") == errc::too_many_connections);
    CHECK(code_of_error("ERROR") == errc::unknown_command);
}

}  // namespace
}  // namespace ouro::memcached

#include <ouro/kv/redis/error.hpp>

#include <ouro/runtime/error.hpp>

#include <doctest/doctest.h>

#include <ostream>
#include <set>
#include <string>
#include <system_error>
#include <utility>

using namespace ouro;
using namespace std::literals;

TEST_CASE("an error has a code by its first word") {
    using redis::code_of;
    using redis::errc;
    const std::pair<std::string_view, errc> said[] = {
        {"WRONGTYPE Operation against a key holding the wrong kind of value", errc::wrong_type},
        {"NOAUTH Authentication required.", errc::no_auth},
        {"NOAUTH HELLO must be called with the client already authenticated, otherwise …",
         errc::no_auth},
        {"WRONGPASS invalid username-password pair or user is disabled.", errc::wrong_password},
        {"NOPERM this user has no permissions to run the 'get' command", errc::no_permission},
        {"LOADING Redis is loading the dataset in memory", errc::loading},
        {"READONLY You can't write against a read only replica.", errc::read_only},
        {"NOSCRIPT No matching script. Please use EVAL.", errc::no_script},
        {"OOM command not allowed when used memory > 'maxmemory'.", errc::out_of_memory},
        {"BUSY Redis is busy running a script.", errc::busy},
        {"BUSYKEY Target key name already exists.", errc::busy_key},
        {"BUSYGROUP Consumer Group name already exists", errc::busy_group},
        {"NOGROUP No such key 's' or consumer group 'g'", errc::no_group},
        {"MISCONF Redis is configured to save RDB snapshots, but …", errc::misconfigured},
        {"NOREPLICAS Not enough good replicas to write.", errc::no_replicas},
        {"MASTERDOWN Link with MASTER is down", errc::master_down},
        {"UNBLOCKED client unblocked via CLIENT UNBLOCK", errc::unblocked},
        {"NOPROTO unsupported protocol version", errc::no_protocol},
        {"ERR unknown command 'HELLO', with args beginning with: '3' ", errc::unknown_command},
        {"ERR unknown command `HELLO`, with args beginning with: `3`, ", errc::unknown_command},
        {"ERR max number of clients reached", errc::too_many_clients},
        {"ERR max number of clients + cluster connections reached", errc::too_many_clients},
        {"ERR invalid password", errc::wrong_password},
        {"ERR Client sent AUTH, but no password is set", errc::wrong_password},
        {"ERR AUTH <password> called without any password configured for the default user. …",
         errc::wrong_password},
        {"EXECABORT Transaction discarded because of previous errors.", errc::exec_aborted},
        {"MOVED 3999 127.0.0.1:6381", errc::moved},
        {"ASK 3999 127.0.0.1:6381", errc::ask},
        {"TRYAGAIN Multiple keys request during rehashing of slot", errc::try_again},
        {"CLUSTERDOWN Hash slot not served", errc::cluster_down},
        {"CROSSSLOT Keys in request don't hash to the same slot", errc::cross_slot},
    };
    for (const auto& [words, code] : said) {
        CAPTURE(words);
        CHECK(code_of(words) == code);
    }
}

TEST_CASE("a word without a code is the server's error") {
    using redis::code_of;
    using redis::errc;
    for (const std::string_view words :
         {"", " ", "ERR", "ERR ", "ERR syntax error", "ERRunknown command", "OOPS", "ASKING", "AS",
          "MOVE", "MOVEDTO 1", "wrongtype", "DENIED Redis is running in protected mode",
          "WRONGTYPE\tx", "ERR  unknown command"})
        CHECK(code_of(words) == errc::server_error);
    CHECK(code_of("OOM") == errc::out_of_memory);  // a word alone is enough
}

TEST_CASE("codes belong to a category and explain themselves") {
    const std::error_code code = redis::errc::wrong_type;
    CHECK(code.category().name() == "redis"s);
    CHECK(code == redis::errc::wrong_type);
    CHECK(code != redis::errc::server_error);
    CHECK(redis::category().message(0) == "unknown error");
    std::set<std::string> messages;
    int number = 1;
    for (; redis::category().message(number) != "unknown error"; ++number)
        CHECK(messages.insert(redis::category().message(number)).second);
    CHECK(number > static_cast<int>(redis::errc::batch_ended));
}

TEST_CASE("an error says which command failed, and how") {
    const redis::error said(redis::errc::wrong_type, net::fate::answered, "LPUSH",
                            "WRONGTYPE Operation against a key");
    CHECK(said.code() == redis::errc::wrong_type);
    CHECK(said.words() == "WRONGTYPE Operation against a key");
    CHECK(said.how_far() == net::fate::answered);
    CHECK(said.what() ==
          "LPUSH: WRONGTYPE Operation against a key: the key holds another kind of value"s);

    const redis::error lost(errc::end_of_stream, net::fate::unanswered, "INCR", "");
    CHECK(lost.words().empty());
    CHECK(std::string(lost.what()).starts_with("INCR (sent and unanswered): "));

    const redis::error copy = said;
    CHECK(copy.words() == said.words());
    CHECK(copy.words().data() != said.words().data());
}

TEST_CASE("an error shows no argument that the server quotes") {
    const auto shown = [](std::string_view words) {
        const redis::error said(redis::errc::server_error, net::fate::answered, "X", words);
        CHECK(std::string(said.what()).find("sesame") == std::string::npos);
        return std::string(said.words());
    };
    CHECK(shown("ERR unknown command 'LOGIN', with args beginning with: 'sesame' 'x' ") ==
          "ERR unknown command 'LOGIN'");
    CHECK(shown("ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `sesame`, ") ==
          "ERR unknown command `HELLO`");
    CHECK(shown("ERR Error in ACL SETUSER modifier '<sesame': The password …") ==
          "ERR Error in ACL SETUSER modifier '<***': The password …");
    CHECK(shown("ERR Error in ACL SETUSER modifier '#ses': ame': The hash …") ==
          "ERR Error in ACL SETUSER modifier '#***': The hash …");
    CHECK(shown("ERR Error in ACL SETUSER modifier '>sesame") ==
          "ERR Error in ACL SETUSER modifier '>***");
    CHECK(shown("ERR Error in ACL SETUSER modifier '+nosuch': Unknown command") ==
          "ERR Error in ACL SETUSER modifier '+nosuch': Unknown command");
    CHECK(redis::without_secret("a sesame and sesamesesame", "sesame") == "a *** and ******");
    CHECK(redis::without_secret("***", "*") == "*********");
    CHECK(redis::without_secret("as it is", "") == "as it is");
}

// plain_door.hpp: typed commands on a blocking socket: what a command sends and how its reply is
// read, beside a real server and without a runtime.
#pragma once

#include <ouro/kv/redis/commands/commands.hpp>
#include <ouro/kv/redis/wire/resp.hpp>
#include <ouro/tests/kv/child_process.hpp>
#include <ouro/tests/kv/servers.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace ouro::redis {

/// A door that answers at once. Each command's number of words is checked against the table.
class plain_door : public commands<plain_door> {
public:
    plain_door(const redis_server& server, int protocol) : socket_(server.port()) {
        if (protocol == 3) run<void>(verb::hello, {3});
    }

    template <class T>
    T run(verb what, std::span<const arg> arguments = {}) {
        const command made(what, arguments);
        CAPTURE(made.info().name);
        CHECK(made.info().takes(made.size()));
        CHECK_FALSE(made.too_large());
        return ask<T>(made);
    }
    template <class T>
    T run(verb what, std::initializer_list<arg> arguments) {
        return run<T>(what, std::span(arguments.begin(), arguments.size()));
    }
    template <class T>
    T run_blocking(verb what, std::chrono::milliseconds timeout, std::span<const arg> arguments) {
        CHECK(info_of(what).is(command_flag::blocking));
        CHECK(timeout.count() >= 0);
        return run<T>(what, arguments);
    }
    /// Any command: `db.any({"DEBUG", "SLEEP", 0})`.
    template <class T = void>
    T any(const words& whole) {
        return ask<T>(command(verb::any, whole.args()));
    }

    void send(const command& what) {
        const auto bytes = what.bytes();
        socket_.send(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    }
    template <class T>
    T receive() {
        const std::string raw = read_raw();
        resp_parser parser;
        const auto used = parser.parse(std::as_bytes(std::span(raw)));
        REQUIRE(used);
        REQUIRE(*used == raw.size());
        const value root = parser.root();
        if (root.is_error())
            throw std::system_error(code_of(root.text()), std::string(root.text()));
        if constexpr (!std::is_void_v<T>) {
            T made{};
            if (const auto error = decode(root, made)) throw std::system_error(error, raw);
            return made;
        }
    }

private:
    static const command_info& info_of(verb what) noexcept { return redis::info(what); }

    template <class T>
    T ask(const command& what) {
        send(what);
        return receive<T>();
    }

    // The bytes of one reply.
    std::string read_raw() {
        std::string raw = socket_.line();
        const char kind = raw[0];
        if (kind == '+' || kind == '-' || kind == ':' || kind == ',' || kind == '#' ||
            kind == '_' || kind == '(')
            return raw;
        const int size = std::stoi(raw.substr(1));
        if (kind == '$' || kind == '=' || kind == '!')
            return size < 0 ? raw : raw + socket_.bytes(static_cast<std::size_t>(size) + 2);
        const int elements = kind == '%' || kind == '|' ? 2 * size : size;
        for (int i = 0; i < elements; ++i) raw += read_raw();
        return raw;
    }

    blocking_socket socket_;
};

/// The code of what `act` throws; zero when it throws nothing.
template <class Act>
std::error_code code_from(Act act) {
    try {
        act();
        return {};
    } catch (const std::system_error& error) {
        return error.code();
    }
}

/// One server for all tests of a program.
inline redis_server& shared_server() {
    static redis_server server;
    return server;
}

/// Runs `story` with a door that speaks RESP2, and with one that speaks RESP3, on an empty server.
template <class Story>
void with_both_protocols(Story story) {
    for (const int protocol : {2, 3}) {
        CAPTURE(protocol);
        plain_door db(shared_server(), protocol);
        db.flushall();
        story(db);
    }
}

}  // namespace ouro::redis

/// A test that gets a door `db`, once for each protocol.
#define OURO_TEST_DOOR(sentence) OURO_TEST_DOOR_AS(DOCTEST_ANONYMOUS(ouro_door_story_), sentence)
#define OURO_TEST_DOOR_AS(story, sentence)                                \
    static void story(::ouro::redis::plain_door&);                        \
    TEST_CASE(sentence) { ::ouro::redis::with_both_protocols(&(story)); } \
    static void story([[maybe_unused]] ::ouro::redis::plain_door& db)

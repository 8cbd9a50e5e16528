// talking.hpp: what is said and heard on streams, whatever stands between their ends.
#pragma once

#include "sockets.hpp"
#include <ouro/net/bytes/block_reader.hpp>
#include <ouro/net/bytes/chunk.hpp>
#include <ouro/net/bytes/reader.hpp>
#include <ouro/net/bytes/writer.hpp>
#include <ouro/net/relay.hpp>
#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/timeout.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <system_error>

namespace ouro::net {

/// Numbered lines, of which the last one may be cut short.
inline std::string text_of(std::size_t size) {
    std::string text;
    for (std::size_t i = 0; text.size() < size; ++i) text += "line " + std::to_string(i) + '\n';
    text.resize(size);
    if (size > 0) text.back() = '\n';
    return text;
}

inline task<> send_and_end(stream& to, std::string text) {
    co_await to.send_all(text);
    CHECK(to.shutdown(half::send));
}

inline task<> write_and_end(stream& to, const std::string& text) {
    writer out(to);
    for (std::size_t at = 0; at < text.size(); at += 10) {
        CHECK(out.write(text.substr(at, 5)));
        if (at + 5 < text.size()) CHECK(out.write(chunk::copy_of(text.substr(at + 5, 5))));
    }
    co_await out.close();
    CHECK(to.shutdown(half::send));
}

/// Sends more than a socket takes while nobody receives, and ends behind that.
inline task<> end_behind_a_full_socket(stream& by, const std::string& much) {
    by.set_send_buffer_bytes(4096);
    const auto sent = co_await as_result(timeout(std::chrono::milliseconds(1), by.send_all(much)));
    CHECK(sent.error() == errc::timed_out);
    CHECK(by.shutdown(half::send));
}

inline task<std::string> read_all_lines(stream& from) {
    reader in(from);
    std::string all;
    for (;;) {
        const auto line = co_await in.read_line();
        if (!line) co_return all;
        all += *line;
        all += '\n';
    }
}

inline task<std::string> read_all_blocks(stream& from) {
    block_reader in(from);
    std::string all;
    while (chunk line = co_await in.read_line()) all += line.text();
    co_return all;
}

inline task<std::string> receive_lent(stream& from) {
    std::string all;
    for (;;) {
        const lease got = co_await from.recv();
        if (got.empty()) co_return all;
        all.append(reinterpret_cast<const char*>(got.data().data()), got.size());
    }
}

/// How receiving fails; zero: it does not.
inline task<std::error_code> receive_error(stream& from) {
    std::array<std::byte, 8> space;
    const auto got = co_await as_result(from.recv(space));
    co_return got.error();
}

using way_to_receive = task<std::string> (*)(stream&);

/// Written on one end, read on the other, both ways at once.
inline task<> talk_both_ways(stream& a, stream& b, std::size_t size, way_to_receive receive) {
    const std::string there = text_of(size), back = text_of(size / 2);
    std::string came_there, came_back;
    auto talk = [&](scope& tasks) -> task<> {
        tasks.spawn(write_and_end, std::ref(a), std::cref(there));
        tasks.spawn(send_and_end, std::ref(b), back);
        came_there = co_await receive(b);
        came_back = co_await receive(a);
    };
    co_await with_scope(talk);
    CHECK(came_there == there);
    CHECK(came_back == back);
}

/// a == b | relay | clear ── server: what stands between a and b ends at the relay.
inline task<> talk_through_relay(stream& a, stream& b, std::size_t size) {
    auto [clear, server] = stream_pair();
    const std::string question = text_of(size), answer = text_of(size / 3);
    std::string asked, answered;
    relay_totals totals;
    auto talk = [&](scope& tasks) -> task<> {
        tasks.spawn(send_and_end, std::ref(a), question);
        tasks.spawn(send_and_end, std::ref(server), answer);
        auto receive = [](stream& from, std::string& into) -> task<> {
            into = co_await receive_all(from);
        };
        tasks.spawn(receive, std::ref(server), std::ref(asked));
        tasks.spawn(receive, std::ref(a), std::ref(answered));
        totals = co_await relay(b, clear);
    };
    co_await with_scope(talk);
    CHECK(asked == question);
    CHECK(answered == answer);
    CHECK(totals.forward == question.size());
}

}  // namespace ouro::net

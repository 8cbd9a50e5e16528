// said.hpp: what clients say to a scripted Redis server, and how it writes an answer.
#pragma once

#include <ouro/net/bytes/reader.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/task.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace ouro::testing {

/// A command and its arguments.
using words_said = std::vector<std::string>;

/// RESP for a bulk string.
inline std::string bulk(std::string_view text) {
    return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

/// The next command, an array of bulk strings. Empty when the connection has ended.
inline task<words_said> read_command(net::reader& in) {
    words_said said;
    auto head = co_await as_result(in.read_line());
    if (!head || !*head || (*head)->empty()) co_return said;
    const int count = std::stoi(std::string((*head)->substr(1)));
    for (int at = 0; at < count; ++at) {
        auto length = co_await as_result(in.read_line());
        if (!length || !*length) co_return words_said();
        const std::size_t size = std::stoul(std::string((*length)->substr(1)));
        auto word = co_await as_result(in.read_exactly(size + 2));
        if (!word) co_return words_said();
        said.emplace_back(reinterpret_cast<const char*>(word->data()), size);
    }
    co_return said;
}

}  // namespace ouro::testing

// filter: numbers the lines of standard input, as `cat -n` does.
//
//   filter [--reactor auto|uring|epoll] <text

#include "arguments.hpp"
#include <ouro/net/bytes/block_reader.hpp>
#include <ouro/net/bytes/writer.hpp>
#include <ouro/net/standard_streams.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/run.hpp>

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <system_error>

using namespace ouro;

namespace {

constexpr std::size_t line_bytes_max = 1024 * 1024;

/// Lines go out as the chunks that they came in as; nothing of them is copied. What was read in one
/// go leaves in one go.
task<> number_lines(net::stream& from, net::stream& to) {
    net::block_reader in(from, {.bytes_max = line_bytes_max, .unended_last_line = true});
    net::writer out(to);
    for (std::uint64_t number = 1; net::chunk line = co_await in.read_line(); ++number) {
        const std::string margin = fmt::format("{:6}\t", number);
        if (!out.write(margin) || !out.write(line)) break;
        if (out.above_high()) co_await out.below_low();
    }
    co_await out.close();
}

/// The code that the program ends with.
task<int> filter() {
    net::stream in = net::standard_input();
    net::stream out = net::standard_output();
    const auto done = co_await as_result(number_lines(in, out));
    // Whoever reads has seen enough: `filter | head -1`.
    if (done || done.error() == std::errc::broken_pipe) co_return 0;
    std::fprintf(stderr, "filter: %s\n", done.error().message().c_str());
    co_return 1;
}

}  // namespace

int main(int argc, char** argv) {
    const examples::arguments given(argc, argv, {"reactor"});
    const std::string reactor = given.choice("reactor", "auto", {"auto", "uring", "epoll"});
    runtime_options options;
    if (reactor != "auto")
        options.reactor.kind = reactor == "uring" ? reactor_kind::uring : reactor_kind::epoll;
    return run(filter(), options);
}

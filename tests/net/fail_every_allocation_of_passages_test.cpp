// What stands between a stream and its descriptor, with each of its allocations failing in turn, on
// the real reactors: pipes, files, layers.

#include "kernel_streams.hpp"
#include <ouro/net/layer.hpp>
#include <ouro/net/stream.hpp>
#include <ouro/net/stream_pair.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/tests/fail_every_allocation.hpp>

#include <doctest/doctest.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>

using namespace ouro;
using net::stream;

namespace {

const std::string long_text(5001, 'x');

/// Numbers that nobody has taken over, closed in the end.
struct numbers {
    std::array<int, 2> all{-1, -1};

    numbers() noexcept = default;
    numbers(const numbers&) = delete;
    ~numbers() {
        for (const int each : all)
            if (each >= 0) ::close(each);
    }
};

/// What cannot be taken over stays open, and its owner's.
stream take_over(int& number) {
    try {
        stream taken = stream::from(number);
        number = -1;
        return taken;
    } catch (const std::bad_alloc&) {
        if (::fcntl(number, F_GETFD) < 0) std::abort();
        throw;
    }
}

task<> talk_through_a_pipe() {
    numbers ends;
    if (::pipe2(ends.all.data(), O_CLOEXEC) < 0) throw_error(error_of(-errno));
    begin_shortage();
    stream in = take_over(ends.all[0]);
    stream out = take_over(ends.all[1]);
    co_await out.send_all("piped");
    std::array<std::byte, 2> space;
    const std::size_t first = co_await in.recv(space);
    const lease rest = co_await in.recv();
    expect(first + rest.size() == 5, "bytes are lost");
    co_await out.close();
    const std::size_t end = co_await in.recv(space);
    expect(end == 0, "no end");
}

task<> read_a_file() {
    numbers made;
    made.all[0] = net::file_with(long_text);
    begin_shortage();
    stream in = take_over(made.all[0]);
    std::array<std::byte, 512> space;
    std::size_t came = 0;
    for (;;) {
        const std::size_t got = co_await in.recv(space);
        if (got == 0) break;
        came += got;
    }
    expect(came == long_text.size(), "bytes are lost");
}

/// Lets bytes pass as they are, a few at a time, from memory of its own.
class clear_layer final : public net::layer {
public:
    int take(std::span<std::byte> into) noexcept override {
        if (in_.empty()) return ended_ ? 0 : -EAGAIN;
        const std::size_t n = std::min(into.size(), in_.size());
        std::copy_n(in_.begin(), n, into.begin());
        in_ = in_.subspan(n);
        return static_cast<int>(n);
    }
    bool ready() noexcept override { return !in_.empty() || ended_; }
    std::span<std::byte> space() noexcept override { return received_; }
    void received(std::size_t n) noexcept override {
        in_ = std::span(received_).first(n);
        ended_ = n == 0;
    }
    int put(std::span<const iovec> from) noexcept override {
        const std::size_t n = std::min(from.front().iov_len, sent_.size());
        std::memcpy(sent_.data(), from.front().iov_base, n);
        out_ = std::span(sent_).first(n);
        return static_cast<int>(n);
    }
    std::span<const std::byte> pending() const noexcept override { return out_; }
    void sent(std::size_t n) noexcept override { out_ = out_.subspan(n); }
    int end() noexcept override { return 0; }

private:
    std::array<std::byte, 16> received_, sent_;
    std::span<std::byte> in_, out_;
    bool ended_ = false;
};

/// Once more with plenty, when it has failed for want of memory: then nothing of it was done.
task<> send_ten(stream& to, bool& failed) {
    const auto sent = co_await as_result(to.send_all("0123456789"));
    if (sent) co_return;
    if (!is_want_of_memory(sent.error())) throw_error(sent.error());
    failed = true;
    end_shortage();
    co_await to.send_all("0123456789");
}

task<> hear_ten(stream& from, bool& failed) {
    std::string came;
    while (came.size() < 10) {
        const auto got = co_await as_result(from.recv());
        if (got) {
            expect(!got->empty(), "it has ended");
            came.append(reinterpret_cast<const char*>(got->data().data()), got->size());
            continue;
        }
        if (!is_want_of_memory(got.error())) throw_error(got.error());
        failed = true;
        end_shortage();
    }
    expect(came == "0123456789", "other bytes");
}

/// A stream that could not be given a layer is what it was before.
task<> talk_through_layers() {
    auto pair = net::stream_pair();
    bool failed = false;
    begin_shortage();
    for (stream* const each : {&pair.first, &pair.second, &pair.second}) {
        try {
            each->put_layer(std::make_unique<clear_layer>());
        } catch (const std::bad_alloc&) {
            failed = true;
        }
    }
    co_await send_ten(pair.first, failed);
    co_await hear_ten(pair.second, failed);
    co_await send_ten(pair.second, failed);
    co_await hear_ten(pair.first, failed);
    if (failed) throw std::bad_alloc();
    static_cast<void>(pair.second.shutdown(net::half::send));
    const lease end = co_await pair.first.recv();
    expect(end.empty(), "no end");
}

const work below[] = {
    {"a pipe", talk_through_a_pipe, 5},
    {"a file", read_a_file, 1},
    {"layers", talk_through_layers, 6},
};

}  // namespace

TEST_CASE("pipes, files and layers survive any failed allocation, and lose nothing") {
    check_every_allocation(below);
}

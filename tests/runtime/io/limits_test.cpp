// What runs out: descriptors, above all.

#include "real_reactors.hpp"
#include "sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/io/leased_recv.hpp>
#include <ouro/runtime/scope.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

using namespace ouro;
using namespace ouro::testing;

namespace {

/// Another limit of descriptors, for as long as it lives.
class descriptor_limit {
public:
    explicit descriptor_limit(rlim_t limit) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        rlimit wish{limit, std::max(limit, before_.rlim_max)};
        if (::setrlimit(RLIMIT_NOFILE, &wish) == 0) return;
        wish = {std::min(limit, before_.rlim_max), before_.rlim_max};
        ::setrlimit(RLIMIT_NOFILE, &wish);
    }
    descriptor_limit(const descriptor_limit&) = delete;
    descriptor_limit& operator=(const descriptor_limit&) = delete;
    ~descriptor_limit() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_;
};

rlim_t descriptors_allowed() {
    rlimit now;
    ::getrlimit(RLIMIT_NOFILE, &now);
    return now.rlim_cur;
}

task<std::error_code> accept_error(acceptor& from) {
    const auto taken = co_await as_result(from.accept());
    co_return taken.error();
}

task<> survives_exhaustion() {
    // The undefined-behaviour sanitizer looks at new kinds of objects through a pipe, which cannot
    // be had below; so what happens there happens here first.
    co_await tcp_pair();
    acceptor listener(listening_socket());
    const sockaddr_in where = local_name(listener.number());
    std::vector<descriptor> clients;
    for (int i = 0; i < 3; ++i) {
        clients.push_back(tcp_socket());
        co_await connect_to(clients.back(), where);
    }
    std::vector<std::error_code> told(3);
    int no_socket = 0;
    {
        const descriptor_limit none(static_cast<rlim_t>(clients.back().number()) + 1);
        for (std::error_code& why : told) why = co_await accept_error(listener);
        no_socket = io().open_socket(AF_INET, SOCK_STREAM, 0);
    }
    CHECK(no_socket == -EMFILE);
    for (const std::error_code& why : told) CHECK(why == std::errc::too_many_files_open);
    for (int i = 0; i < 3; ++i) {
        const descriptor one = co_await listener.accept();
        CHECK(one.is_open());
    }
}

task<> receive_one(descriptor& from, std::size_t& received) {
    const lease got = co_await leased_recv_op(from);
    received += got.size();
}

task<> serves_ten_thousand() {
    const descriptor_limit enough(21'000);
    const std::size_t count = std::min<std::size_t>(10'000, (descriptors_allowed() - 100) / 2);
    MESSAGE(count, " connections on ", std::string(io().name()));
    std::vector<ends> pairs(count);
    std::size_t received = 0;
    co_await with_scope([&](scope& tasks) -> task<> {
        for (ends& pair : pairs) {
            pair = unix_pair();
            tasks.spawn(receive_one, pair.near, received);
        }
        co_await settle();
        CHECK(io().in_flight() == count);
        CHECK(io().buffers().leased() == 0);
        for (ends& pair : pairs) co_await send_all(pair.far, bytes_of("x"));
    });
    CHECK(received == count);
    CHECK(io().buffers().leased() == 0);
}

task<> accepts_two_thousand() {
    const descriptor_limit enough(5'000);
    constexpr std::size_t count = 2'000;
    acceptor listener(listening_socket(loopback(), 4096));
    const sockaddr_in where = local_name(listener.number());
    std::vector<descriptor> clients(count);
    std::vector<descriptor> taken(count);
    co_await with_scope([&](scope& tasks) -> task<> {
        for (descriptor& client : clients) {
            client = tcp_socket();
            tasks.spawn(
                [where](descriptor& socket) -> task<> { co_await connect_to(socket, where); },
                client);
        }
        for (descriptor& one : taken) one = co_await listener.accept();
    });
    for (std::size_t i = 0; i < count; ++i) co_await send_all(taken[i], bytes_of("x"));
    std::size_t received = 0;
    for (descriptor& client : clients) co_await receive_one(client, received);
    CHECK(received == count);
}

}  // namespace

TEST_CASE("a listener survives that descriptors run out, and goes on when there are some again") {
    on_real(survives_exhaustion);
}

TEST_CASE("ten thousand connections wait in one process, and each gets its byte") {
    on_real(serves_ten_thousand, {.receive_buffers = 16384, .receive_buffer_bytes = 64});
}

TEST_CASE("two thousand connections are made and accepted at once") {
    on_real(accepts_two_thousand);
}

// Prints the hash of a simulated story for each seed on the command line: `trace_hash 1 2 3`.
//
// The same seed must give the same hash across runs, machines and optimisation levels; a test
// compares this program built at two levels.

#include "../io/sockets.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sim/world.hpp>
#include <ouro/runtime/testing/run.hpp>
#include <ouro/runtime/testing/settle.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;

namespace {

constexpr int clients = 8;
constexpr int rounds = 10;

task<> echo(descriptor client) {
    std::array<std::byte, 64> block;
    for (;;) {
        const auto got = co_await as_result(recv_op(client, block));
        if (!got || *got == 0) co_return;
        co_await send_all(client, std::span(block).first(*got));
    }
}

task<> serve(acceptor& from) {
    co_await with_scope([&](scope& sessions) -> task<> {
        for (int i = 0; i < clients; ++i) {
            descriptor client = co_await from.accept();
            sessions.spawn(echo(std::move(client)));
        }
    });
}

task<> sleep_drawn() {
    const auto length = duration(sim::world::current().chance().between(0, 2'000'000));
    co_await sleep_for(length);
}

task<> converse(const sockaddr_in& with, int& answered) {
    descriptor server = tcp_socket();
    co_await connect_to(server, with);
    std::array<std::byte, 48> question{};
    std::array<std::byte, 48> answer;
    for (int i = 0; i < rounds; ++i) {
        co_await any_of(sleep_drawn(), sleep_drawn());
        co_await send_all(server, question);
        const auto came = co_await as_result(timeout(10ms, receive_all(server, answer)));
        if (!came) co_return;  // too slow: the connection is of no use any more
        ++answered;
    }
}

task<int> story() {
    sim::world& world = sim::world::current();
    world.set_conditions({.delay_min = 100us, .delay_max = 3ms});
    acceptor listener(listening_socket());
    const sockaddr_in where = local_name(listener.number());
    int answered = 0;
    co_await with_scope([&](scope& tasks) -> task<> {
        tasks.spawn(serve, listener);
        for (int i = 0; i < clients; ++i) tasks.spawn(converse, where, answered);
        co_await settle();
    });
    co_return answered;
}

}  // namespace

int main(int count, char** words) {
    for (int i = 1; i < count; ++i) {
        const std::uint64_t seed = std::strtoull(words[i], nullptr, 0);
        std::uint64_t hash = 0;
        const int answered = run_simulated(story(), {.seed = seed, .trace_hash = &hash});
        std::printf("seed %" PRIu64 ": %d answers, trace %016" PRIx64 "\n", seed, answered, hash);
    }
}

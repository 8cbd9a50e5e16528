// cancellation: asking tasks to stop, cleaning up, and what a scope does when a child fails.

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <cstdio>
#include <stdexcept>
#include <string>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

task<> say_goodbye(std::string who) {
    co_await sleep_for(10ms);  // cleanup may await, under a shield
    std::printf("%s has cleaned up\n", who.c_str());
}

task<> worker(std::string who) {
    const auto slept = co_await as_result(sleep_for(1h));
    if (!slept) {
        std::printf("%s was asked to stop: %s\n", who.c_str(), to_string(current_cancellation()));
        co_await shield(say_goodbye(who));
    }
}

task<> failing() {
    co_await sleep_for(20ms);
    throw std::runtime_error("the disk is full");
}

task<> everything() {
    auto alone = spawn(worker("alone"));
    co_await sleep_for(10ms);
    alone.cancel();
    co_await alone;

    const auto limited = co_await as_result(timeout(10ms, worker("limited")));
    std::printf("limited %s\n", limited ? "ended well, after its cleanup" : "failed");

    auto body = [](scope& tasks) -> task<> {
        tasks.spawn(worker, std::string("first sibling"));
        tasks.spawn(worker, std::string("second sibling"));
        tasks.spawn(failing);
        co_return;
    };
    try {
        co_await with_scope(body);
    } catch (const std::runtime_error& error) {
        std::printf("the scope failed: %s\n", error.what());
    }
}

}  // namespace

int main() { return run(everything()); }

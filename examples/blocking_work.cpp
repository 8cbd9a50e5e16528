// blocking_work: calls that block run on helper threads; the loop goes on meanwhile.

#include <ouro/runtime/blocking.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <chrono>
#include <cstdio>
#include <thread>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

/// Stands for a library that knows nothing of coroutines.
int slow_library_call(int question) {
    std::this_thread::sleep_for(100ms);
    return question * 2;
}

task<int> ask(int question) { co_return co_await blocking(slow_library_call, question); }

task<int> count_turns_while_waiting() {
    int turns = 0;
    for (; turns < 10; ++turns) co_await sleep_for(5ms);
    co_return turns;
}

task<> everything() {
    const auto start = clock::exact_now();
    const auto got = co_await all_of(ask(20), ask(21), count_turns_while_waiting());
    const auto took = clock::exact_now() - start;
    std::printf("answers %d and %d, the loop turned %d times meanwhile, and it took %s\n",
                std::get<0>(got), std::get<1>(got), std::get<2>(got),
                took < 190ms ? "as long as one call" : "longer than one call");
}

}  // namespace

int main() { return run(everything()); }

// timers: sleeping, ticking, limiting. Runs for about a second.

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/time/interval.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <cstdio>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

task<> tick(int times) {
    interval every(100ms);
    for (int i = 1; i <= times; ++i) {
        co_await every.tick();
        std::printf("tick %d\n", i);
    }
}

task<const char*> slow_answer() {
    co_await sleep_for(10s);
    co_return "too late";
}

task<> limit() {
    const auto answer = co_await as_result(timeout(250ms, slow_answer()));
    std::printf("the slow answer: %s\n", answer ? *answer : answer.error().message().c_str());
}

task<> everything() {
    const auto start = clock::now();
    co_await all_of(tick(5), limit());
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - start);
    std::printf("both done after about %lld ms\n",
                static_cast<long long>(took.count() / 100 * 100));
}

}  // namespace

int main() { return run(everything()); }

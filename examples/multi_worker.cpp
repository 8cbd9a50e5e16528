// multi_worker: several workers, and the ways to cross from one to another.

#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sync/shared_channel.hpp>

#include <cstdio>
#include <memory>

using namespace ouro;

namespace {

task<long> sum_of(long from, long to) {
    long sum = 0;
    for (long i = from; i < to; ++i) sum += i;
    co_return sum;
}

task<> produce(std::shared_ptr<shared_channel<int>> out) {
    for (int i = 0; i < 1000; ++i) co_await out->send(i);
    out->close();
}

task<> everything() {
    // A call: runs there, the value comes back here.
    const long sum = co_await call_on(1, sum_of, 0L, 1000L);
    std::printf("worker 1 says %ld\n", sum);

    // A queue between workers: bounded, either side waits for the other.
    auto queue = std::make_shared<shared_channel<int>>(16);
    spawn_on(1, produce, queue);
    int count = 0;
    while (auto item = co_await queue->recv()) ++count;
    std::printf("%d items came from worker 1\n", count);
}

}  // namespace

int main() { return run(everything(), {.workers = 2}); }

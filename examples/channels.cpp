// channels: a pipeline of tasks with bounded queues in between, and a value that everybody watches.

#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sync/channel.hpp>

#include <cstdio>

using namespace ouro;

namespace {

task<> count_to(int limit, channel<int>& out) {
    for (int i = 1; i <= limit; ++i) co_await out.send(i);  // waits while the queue is full
    out.close();
}

task<> square(channel<int>& in, channel<int>& out) {
    while (auto number = co_await in.recv()) co_await out.send(*number * *number);
    out.close();
}

task<> everything() {
    channel<int> numbers(4);
    channel<int> squares(4);
    auto pipeline = [&](scope& tasks) -> task<int> {
        tasks.spawn(count_to, 10, numbers);
        tasks.spawn(square, numbers, squares);
        int sum = 0;
        while (auto one = co_await squares.recv()) sum += *one;
        co_return sum;
    };
    const int sum = co_await with_scope(pipeline);
    std::printf("the squares of 1 to 10 sum up to %d\n", sum);
}

}  // namespace

int main() { return run(everything()); }

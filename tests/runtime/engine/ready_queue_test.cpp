#include <ouro/runtime/engine/ready_queue.hpp>

#include <ouro/tests/dies.hpp>

#include <doctest/doctest.h>

#include <array>
#include <vector>

using namespace ouro;

namespace {

using frames = std::array<promise_base, 4>;

/// The positions in `all` of what stands in the queue.
std::vector<long> order(const ready_queue& queue, const frames& all) {
    std::vector<long> positions;
    queue.for_each([&](promise_base& frame) { positions.push_back(&frame - all.data()); });
    return positions;
}

void fill(ready_queue& queue, frames& all) {
    for (promise_base& each : all) queue.push(each);
}

}  // namespace

TEST_CASE("frames leave in the order in which they came") {
    ready_queue queue;
    frames all;
    fill(queue, all);
    CHECK(queue.size() == 4);
    CHECK(&queue.first() == &all[0]);
    CHECK(&queue.last() == &all[3]);
    for (promise_base& each : all) CHECK(&queue.pop() == &each);
    CHECK(queue.empty());
    CHECK(queue.size() == 0);
}

TEST_CASE("a queue that ran empty can be filled again, also in the middle of a run") {
    ready_queue queue;
    frames all;
    queue.push(all[0]);
    CHECK(&queue.pop() == &all[0]);
    queue.push(all[1]);
    queue.push(all[0]);
    CHECK(&queue.pop() == &all[1]);
    queue.push(all[1]);
    CHECK(order(queue, all) == std::vector<long>{0, 1});
}

TEST_CASE("any position can be taken, and the rest keeps its order") {
    for (std::size_t at = 0; at < 4; ++at) {
        ready_queue queue;
        frames all;
        fill(queue, all);
        CHECK(&queue.pop_at(at) == &all[at]);
        CHECK(queue.size() == 3);
        CHECK(&queue.last() == &all[at == 3 ? 2 : 3]);
        queue.push(all[at]);  // the end is where it should be
        std::vector<long> expected{0, 1, 2, 3};
        expected.erase(expected.begin() + static_cast<long>(at));
        expected.push_back(static_cast<long>(at));
        CHECK(order(queue, all) == expected);
    }
}

TEST_CASE("the only frame can be taken by position") {
    ready_queue queue;
    frames all;
    queue.push(all[2]);
    CHECK(&queue.pop_at(0) == &all[2]);
    CHECK(queue.empty());
    queue.push(all[1]);
    CHECK(order(queue, all) == std::vector<long>{1});
    CHECK(asserts("index < size_", [&] { queue.pop_at(1); }));
}

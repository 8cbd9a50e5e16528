#include <ouro/runtime/sync/ring.hpp>

#include <ouro/tests/dies.hpp>

#include <doctest/doctest.h>

#include <memory>

using namespace ouro;

namespace {

TEST_CASE("values come out in the order in which they went in, around the end of the memory") {
    for (std::size_t capacity = 1; capacity <= 4; ++capacity) {
        ring<int> values(capacity);
        CHECK(values.capacity() == capacity);
        int in = 0;
        int out = 0;
        for (int round = 0; round < 10; ++round) {
            while (!values.full()) values.push(int(in++));
            CHECK(values.size() == capacity);
            values.drop_front();
            ++out;
            for (; !values.empty() && values.size() > capacity / 2; ++out) {
                CHECK(values.front() == out);
                values.drop_front();
            }
        }
        CHECK(in - out == static_cast<int>(values.size()));
    }
}

TEST_CASE("what is left is destroyed with it") {
    auto counted = std::make_shared<int>(0);
    {
        ring<std::shared_ptr<int>> values(3);
        for (int i = 0; i < 3; ++i) values.push(std::shared_ptr<int>(counted));
        values.drop_front();
        values.push(std::shared_ptr<int>(counted));
        CHECK(counted.use_count() == 4);
    }
    CHECK(counted.use_count() == 1);
}

TEST_CASE("a ring for nothing is empty and full") {
    ring<int> nothing(0);
    CHECK(nothing.empty());
    CHECK(nothing.full());
}

TEST_CASE("one more than the capacity is noticed, and so is one less than none") {
    CHECK(says(dies([] {
                   ring<int> values(1);
                   values.push(1);
                   values.push(2);
               }),
               "!full()"));
    CHECK(says(dies([] { ring<int>(1).front(); }), "!empty()"));
}

}  // namespace

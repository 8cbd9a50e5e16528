// What needs a whole run, with each of its allocations failing in turn: helper threads, calls to
// other workers, one of something for each of them.

#include <ouro/runtime/abandonable.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/blocking.hpp>
#include <ouro/runtime/fs/file.hpp>
#include <ouro/runtime/per_worker.hpp>
#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/tests/fail_every_allocation.hpp>

#include <fcntl.h>

#include <array>
#include <stdexcept>
#include <string>

using namespace ouro;

namespace {

/// One run, whose first worker is this thread. True when an allocation has failed.
bool run_short(work_maker make, reactor_kind on, long after, bool goes_on, std::string& wrong) {
    bool struck = false;
    std::thread([&] {
        shortage = {.after = after, .goes_on = goes_on};
        runtime_options options;
        options.workers = 2;
        options.reactor.kind = on;
        block_on(with_little_memory(make, wrong), options);
        struck = shortage.has_struck;
        if (frame_pool::stats().live != 0) wrong += "frames are left; ";
    }).join();
    return struck;
}

void check_runs(const work& one) {
    const std::size_t descriptors = descriptors_open();
    std::string wrong;
    long points = 0;
    for (const sim::test_setting& where : sim::real_settings()) {
        if (where.plain_ring) continue;
        for (const bool goes_on : {false, true})
            for (long after = 0; wrong.empty(); ++after, ++points)
                if (!run_short(one.make, where.kind, after, goes_on, wrong)) break;
    }
    const std::string name = one.name;
    MESSAGE(name << ": " << points << " points");
    CHECK_MESSAGE(wrong.empty(), name << ": " << wrong);
    CHECK(points >= one.points_min);
    CHECK(descriptors_come_back(descriptors));
}

int add(int a, int b) { return a + b; }

/// Without memory for a thread there is none.
template <class T>
void check(const result<T>& got) {
    if (!got && got.error() == errc::no_thread) throw std::bad_alloc();
    got.value();
}

task<> call_what_blocks() {
    begin_shortage();
    const auto one = co_await as_result(blocking(add, 1, 2));
    check(one);
    const auto two = co_await as_result(abandonable(blocking_lane::lookups, add, 1, 2));
    check(two);
    expect(*one == 3 && *two == 3, "a wrong sum");
}

task<> open_a_file() {
    begin_shortage();
    const auto opened = co_await as_result(file::open("/dev/null", O_RDONLY));
    check(opened);
}

task<int> there(int n) {
    co_await yield();
    co_return n;
}

task<> call_others() {
    begin_shortage();
    const int got = co_await call_on(1, there, 7);
    expect(got == 7, "another number");
    auto started = spawn_on(1, there, 8);
    static_cast<void>(started);
}

int counted() { return 1; }

task<> use_of_each() {
    begin_shortage();
    per_worker<int> each(counted);
    ++*each;
    expect(*each == 2, "another number");
    co_await each.close();
}

}  // namespace

TEST_CASE("calls that block survive any failed allocation") {
    check_runs({"blocking, abandonable", call_what_blocks, 2});
    check_runs({"a file", open_a_file, 2});
}
TEST_CASE("calls to other workers survive any failed allocation") {
    check_runs({"call_on, spawn_on", call_others, 2});
    check_runs({"per_worker", use_of_each, 2});
}

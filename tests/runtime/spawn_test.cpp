#include <ouro/runtime/spawn.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/log.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/bare_loop.hpp>
#include <ouro/tests/dies.hpp>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

task<int> value_after(duration wait, int value) {
    co_await sleep_for(wait);
    co_return value;
}

task<> append_after(duration wait, std::string& into, char what) {
    co_await sleep_for(wait);
    into += what;
}

task<> fail_after(duration wait) {
    co_await sleep_for(wait);
    throw std::runtime_error("it broke");
}

task<int> length_of(const std::string& text) {
    co_await yield();
    co_return static_cast<int>(text.size());
}

std::string last_log;
void keep_log(log_level, std::string_view text) { last_log = text; }

}  // namespace

OURO_TEST("a spawned task runs beside its maker and hands over its value") {
    auto handle = spawn(value_after(5ms, 3));
    CHECK_FALSE(handle.finished());
    const int got = co_await handle;
    CHECK(got == 3);
    CHECK(handle.finished());
}

OURO_TEST("joining a task that has finished answers at once") {
    auto handle = spawn(value_after(0ms, 4));
    co_await sleep_for(1ms);
    CHECK(handle.finished());
    const int got = co_await handle;
    CHECK(got == 4);
}

OURO_TEST("a failure is rethrown at the join") {
    auto handle = spawn(fail_after(1ms));
    const auto before = executor::current().stats().failed_detached;
    std::string what;
    try {
        co_await handle;
    } catch (const std::runtime_error& error) {
        what = error.what();
    }
    CHECK(what == "it broke");
    CHECK(executor::current().stats().failed_detached == before);
}

OURO_TEST("a detached task goes on alone") {
    std::string log;
    spawn(append_after(2ms, log, 'x')).detach();
    co_await sleep_for(3ms);
    CHECK(log == "x");
}

OURO_TEST("the failure of a detached task is counted and logged with its place") {
    last_log.clear();
    set_log(keep_log);
    spawn(fail_after(1ms)).detach();
    co_await sleep_for(2ms);
    set_log(nullptr);
    CHECK(executor::current().stats().failed_detached == 1);
    CHECK(last_log.find("it broke") != std::string::npos);
    CHECK(last_log.find("spawn_test.cpp") != std::string::npos);
}

OURO_TEST("a failure that nobody joined is reported when the handle is dropped") {
    {
        auto handle = spawn(fail_after(1ms));
        co_await sleep_for(2ms);
        CHECK(executor::current().stats().failed_detached == 0);
    }
    CHECK(executor::current().stats().failed_detached == 1);
}

OURO_TEST("cancel ends a sleeping task early, and its join says so") {
    auto handle = spawn(value_after(1h, 1));
    co_await sleep_for(1ms);
    const auto before = clock::now();
    handle.cancel();
    const auto got = co_await as_result(handle);
    CHECK(got.error() == errc::cancelled);
    CHECK(clock::now() == before);
}

OURO_TEST("a task cancelled before its first step is refused at its first wait") {
    auto handle = spawn(value_after(1h, 1));
    handle.cancel();
    const auto got = co_await as_result(handle);
    CHECK(got.error() == std::errc::operation_canceled);
}

OURO_TEST("cancelling the joiner ends only the waiting") {
    auto worker = spawn(value_after(10ms, 5));
    auto join = [](join_handle<int>& of) -> task<int> { co_return co_await of; };
    auto waiter = spawn(join, std::ref(worker));
    co_await sleep_for(1ms);
    waiter.cancel();
    const auto cut = co_await as_result(waiter);
    CHECK(cut.error() == errc::cancelled);
    const int got = co_await worker;
    CHECK(got == 5);
}

OURO_TEST("a callable and its arguments live as long as the task") {
    auto handle = [] {
        std::string text = "temporary";
        auto box = std::make_unique<int>(1);
        return spawn(
            [extra = std::move(box)](std::string copy) -> task<int> {
                co_await sleep_for(1ms);
                const int length = co_await length_of(copy);
                co_return length + *extra;
            },
            text);
    }();
    const int got = co_await handle;
    CHECK(got == 10);
}

OURO_TEST("a thousand tasks run in the order of their deadlines") {
    int finished = 0;
    std::vector<join_handle<int>> handles;
    for (int i = 0; i < 1000; ++i) handles.push_back(spawn(value_after(i * 1us, i)));
    for (auto& handle : handles) {
        const int got = co_await handle;
        CHECK(got == finished++);
    }
    CHECK(finished == 1000);
}

OURO_TEST("yielding tasks take turns") {
    std::string order;
    auto writer = [](std::string& into, char what) -> task<> {
        for (int i = 0; i < 3; ++i) {
            into += what;
            co_await yield();
        }
    };
    auto a = spawn(writer, std::ref(order), 'a');
    auto b = spawn(writer, std::ref(order), 'b');
    co_await a;
    co_await b;
    CHECK(order.size() == 6);
}

namespace {

task<std::string> text_after(duration wait, std::string text) {
    co_await sleep_for(wait);
    co_return text;
}

template <class T>
task<T> join(std::optional<join_handle<T>>& handle) {
    co_return co_await *handle;
}

/// Spawns a task when it goes, as a destructor may.
struct parting_gift {
    explicit parting_gift(std::string& into) : into_(&into) {}
    parting_gift(parting_gift&& other) noexcept : into_(std::exchange(other.into_, nullptr)) {}
    ~parting_gift() {
        if (into_) spawn(append_after(1ms, *into_, 'g')).detach();
    }
    std::string* into_;
};

task<> hold(parting_gift) { co_await yield(); }

task<> sleep_then_part(std::string& into) {
    const parting_gift gift(into);
    co_await sleep_for(1h);
}

}  // namespace

OURO_TEST("a handle may be dropped while another task joins, which still gets the value") {
    std::optional<join_handle<std::string>> handle = spawn(text_after(2ms, "still here"));
    auto waiter = spawn(join<std::string>(handle));
    co_await sleep_for(1ms);
    handle.reset();
    const auto got = co_await waiter;
    CHECK(got == "still here");
}

OURO_TEST("a handle may be dropped between the end of the task and the step of its joiner") {
    std::optional<join_handle<std::string>> handle = spawn(text_after(1ms, "not freed yet"));
    auto waiter = spawn(join<std::string>(handle));
    co_await settle();
    while (!handle->finished()) co_await sleep_for(1ms);
    handle.reset();
    const auto got = co_await waiter;
    CHECK(got == "not freed yet");
}

OURO_TEST("a value that came first is delivered, even to a joiner that is asked to stop then") {
    std::optional<join_handle<int>> handle = spawn(value_after(1ms, 5));
    auto waiter = spawn(join<int>(handle));
    co_await settle();
    while (!handle->finished()) co_await sleep_for(1ms);
    waiter.cancel();
    const int got = co_await waiter;
    CHECK(got == 5);
}

OURO_TEST("a join that was cut by a timeout can be made again") {
    auto handle = spawn(value_after(10ms, 5));
    const auto cut = co_await as_result(timeout(1ms, handle));
    CHECK(cut.error() == errc::timed_out);
    CHECK_FALSE(handle.finished());
    const int got = co_await timeout(1h, handle);
    CHECK(got == 5);
}

OURO_TEST("a task that lets go of itself goes on and frees itself at its end") {
    std::optional<join_handle<void>> self;
    std::string log;
    auto body = [](std::optional<join_handle<void>>& me, std::string& into) -> task<> {
        me.reset();
        co_await sleep_for(1ms);
        into += 'x';
    };
    self = spawn(body, std::ref(self), std::ref(log));
    co_await sleep_for(2ms);
    CHECK(log == "x");
}

OURO_TEST("assigning a handle detaches what it held") {
    std::string log;
    auto handle = spawn(append_after(1ms, log, 'a'));
    handle = spawn(append_after(2ms, log, 'b'));
    co_await handle;
    CHECK(log == "ab");
    CHECK(handle);
    auto other = std::move(handle);
    CHECK_FALSE(handle);
    CHECK(other);
}

OURO_TEST("a failure of a detached task that was cancelled is its own only when it is another") {
    auto stops = spawn(value_after(1h, 1));
    stops.cancel();
    stops.detach();
    auto breaks = spawn([]() -> task<> {
        const auto slept = co_await as_result(sleep_for(1h));
        if (!slept) throw std::runtime_error("on the way out");
    });
    breaks.cancel();
    breaks.detach();
    co_await settle();
    CHECK(executor::current().stats().failed_detached == 1);
}

OURO_TEST("arguments may start tasks when they go, after their task has ended") {
    std::string log;
    auto handle = spawn(hold, parting_gift(log));
    co_await handle;
    handle.detach();  // destroys the frame, and with it the argument
    co_await sleep_for(2ms);
    CHECK(log == "g");
    spawn(hold, parting_gift(log)).detach();
    co_await sleep_for(2ms);
    CHECK(log == "gg");
}

OURO_TEST("a local may start a task while its own is cancelled") {
    std::string log;
    auto handle = spawn(sleep_then_part(log));
    co_await sleep_for(1ms);
    handle.cancel();
    const auto ended = co_await as_result(handle);
    CHECK(ended.error() == errc::cancelled);
    co_await sleep_for(2ms);
    CHECK(log == "g");
}

OURO_TEST("a spawned task can yield a reference") {
    int number = 1;
    auto handle = spawn([](int& of) -> task<int&> { co_return of; }, std::ref(number));
    int& same = co_await handle;
    CHECK(&same == &number);
}

OURO_TEST("a task has an id that is never used again") {
    auto first = spawn(value_after(0ms, 1));
    const task_id id = first.id();
    CHECK(executor::current().tasks().find(id) != nullptr);
    co_await first;
    CHECK(executor::current().tasks().find(id) == nullptr);
    first.detach();
    auto second = spawn(value_after(0ms, 1));
    CHECK(second.id() != id);
    CHECK(executor::current().tasks().find(id) == nullptr);
    co_await second;
}

OURO_TEST("a cancelled yield says so") {
    auto body = []() -> task<int> {
        const auto slept = co_await as_result(sleep_for(1h));
        const auto yielded = co_await as_result(yield());
        int refused = (slept ? 0 : 1) + (yielded ? 0 : 10);
        try {
            co_await yield();
        } catch (const std::system_error& error) {
            if (error.code() == errc::cancelled) refused += 100;
        }
        co_return refused;
    };
    auto handle = spawn(body);
    co_await settle();
    handle.cancel();
    const int refused = co_await handle;
    CHECK(refused == 111);
}

TEST_CASE("misuse of a handle asserts") {
    CHECK(asserts("one join at a time", [] {
        auto both = []() -> task<> {
            std::optional<join_handle<int>> handle = spawn(value_after(1h, 1));
            spawn(join<int>(handle)).detach();
            co_await *handle;
        };
        bare_loop().run(both());
    }));
    CHECK(asserts("a task is joined once", [] {
        auto twice = []() -> task<> {
            auto handle = spawn(value_after(0ms, 1));
            co_await handle;
            co_await handle;
        };
        bare_loop().run(twice());
    }));
    CHECK(asserts("detached or moved from", [] {
        auto nobody = []() -> task<> {
            auto handle = spawn(value_after(0ms, 1));
            handle.detach();
            handle.cancel();
            co_return;
        };
        bare_loop().run(nobody());
    }));
    CHECK(asserts("spawn: used on a thread without a worker",
                  [] { spawn(value_after(0ms, 1)).detach(); }));
}

namespace {

task<> joins_and_cancels() {
    auto a = spawn(value_after(2ms, 1));
    auto b = spawn(value_after(1ms, 2));
    auto c = spawn(value_after(1h, 3));
    const int first = co_await b;
    c.cancel();
    const auto cut = co_await as_result(c);
    CHECK((cut.error() == errc::cancelled));
    const int second = co_await a;
    CHECK(first + second == 3);
}

}  // namespace

TEST_CASE("joins may be cancelled at every suspension") {
    CHECK(cancel_everywhere(joins_and_cancels).complaints == "");
}

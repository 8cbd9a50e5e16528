#include <ouro/runtime/dump.hpp>

#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>

#include <string>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

// --- names ----------------------------------------------------------------------------------

struct name_case {
    const char* signature;
    const char* name;
};

// What g++ 12 and clang 19 say about functions and coroutines.
const std::vector<name_case> names = {
    {"int main()", "main"},
    {"int main(int, char**)", "main"},
    {"void co(co()::_Z2cov.Frame*)", "co"},
    {"ouro::task<> co()", "co"},
    {"void srv::echo(srv::echo(int&) const::_ZNK3srv4echoERi.Frame*)", "srv::echo"},
    {"ouro::task<> srv::echo(int &) const", "srv::echo"},
    {"ouro::task<std::vector<int> > app::net::client::read(std::size_t)", "client::read"},
    {"void {anonymous}::anon(anon(int (*)(int))::_ZN12_GLOBAL__N_14anonEPFiiE.Frame*)", "anon"},
    {"ouro::task<void> (anonymous namespace)::anon(int (*)(int))", "anon"},
    {"void ouro::call(call<main()::<lambda()>, int>(main()::<lambda()>, int)::_ZN4o.Frame*)",
     "call"},
    {"task<> ouro::call(F, A...) [F = (lambda at x.cpp:16:82), A = <int, double>]", "call"},
    {"void S<int>::run(S<int>::run<S<char> >(S<char>)::_ZN1SIiE3runIS_IcEE.Frame*)", "S::run"},
    {"ouro::task<> S<int>::run(U) [T = int, U = S<char>]", "S::run"},
    {"void main()::<lambda(ouro::scope&)>::operator()(main()::<lambda(ouro::scope&)>::_ZZ.Frame*)",
     "lambda in main"},
    {"auto main()::(anonymous class)::operator()(ouro::scope &) const", "lambda in main"},
    {"void main()::<lambda(int)>::<lambda(int)>::operator()(main()::<lambda(int)>::x.Frame*)",
     "lambda in main"},
    {"auto f()::(anonymous class)::operator()(int)::(anonymous class)::operator()(int) const",
     "lambda in operator()"},
    {"decltype(auto) wrap(int)", "wrap"},
    {"void functor::operator()(int)", "functor::operator()"},
    {"", ""},
    {"(", ""},
    {"a<b", "a"},
};

TEST_CASE("function names are what a person would say") {
    for (const name_case& one : names) CHECK(short_function_name(one.signature) == one.name);
}

TEST_CASE("file names begin at the source root") {
    CHECK(short_file_name("../examples/echo_server.cpp") == "examples/echo_server.cpp");
    CHECK(short_file_name("../../other/x.cpp") == "other/x.cpp");
    CHECK(short_file_name(__FILE__) == "tests/runtime/dump_test.cpp");
    CHECK(short_file_name("./x.cpp") == "x.cpp");
    CHECK(short_file_name("include/ouro/runtime/spawn.hpp") == "runtime/spawn.hpp");
    CHECK(short_file_name("/usr/include/ouro/net/stream.hpp") == "net/stream.hpp");
    CHECK(short_file_name("/home/me/ouro/app.cpp") == "/home/me/ouro/app.cpp");
    CHECK(short_file_name("") == "");
}

// --- dumps ----------------------------------------------------------------------------------

/// The line numbers and ages of a dump are not its story.
std::string shape_of(const std::string& dump) {
    std::string shape;
    for (std::size_t i = 0; i < dump.size(); ++i) {
        const bool number = dump.compare(i, 5, ".cpp:") == 0;
        shape += dump[i];
        if (!number) continue;
        shape += "cpp:";
        i += 4;
        while (i + 1 < dump.size() && dump[i + 1] >= '0' && dump[i + 1] <= '9') ++i;
    }
    return shape;
}

bool has(const std::string& dump, const char* part) {
    const std::string shape = shape_of(dump);
    CAPTURE(shape);
    const bool found = shape.find(part) != shape.npos;
    CHECK_MESSAGE(found, part);
    return found;
}

task<> inner(event& what) { co_await what.wait(); }
task<> outer(event& what) { co_await inner(what); }

OURO_TEST("a waiting task is shown from its root down to what it waits for") {
    event what;
    auto handle = spawn(outer, std::ref(what));
    handle.set_name("waiter");
    co_await settle();
    co_await sleep_for(3s);
    has(dump_tasks(),
        "task 2 \"waiter\", waiting, 3 s old\n"
        "  outer  tests/runtime/dump_test.cpp:\n"
        "    inner  tests/runtime/dump_test.cpp:\n"
        "      event\n");
    what.set();
    co_await handle;
}

OURO_TEST("the running task and one that is ready are shown with their frames") {
    auto body = []() -> task<> {
        co_await yield();
        co_await yield();
    };
    auto handle = spawn(body());
    co_await yield();
    const std::string dump = dump_tasks();
    has(dump, "2 tasks on worker 0 (sim)\ntask 1 \"test\", running, ");
    has(dump, "task 2, ready, 0 s old, spawned at tests/runtime/dump_test.cpp:\n");
    co_await handle;
    has(dump_tasks(), "1 task on worker 0 (sim)\n");
}

OURO_TEST("a task that has not begun is ready and has no frames to show") {
    event what;
    auto handle = spawn(outer(what));
    has(dump_tasks(), "task 2, ready, 0 s old, spawned at tests/runtime/dump_test.cpp:\n");
    CHECK(dump_tasks().find("outer") == std::string::npos);
    what.set();
    co_await handle;
}

OURO_TEST("timeouts and shields show what runs below them") {
    event what;
    auto body = [&]() -> task<> { co_await timeout(5s, shield(outer(what))); };
    auto handle = spawn(body);
    co_await settle();
    has(dump_tasks(), "  lambda in ");
    has(dump_tasks(),
        "    timeout, 5 s left\n"
        "      shield\n"
        "        outer  tests/runtime/dump_test.cpp:\n"
        "          inner  tests/runtime/dump_test.cpp:\n"
        "            event\n");
    what.set();
    co_await handle;
}

OURO_TEST("what is ready below a timeout is found") {
    auto body = []() -> task<> {
        for (int i = 0; i < 3; ++i) co_await yield();
    };
    auto limited = [&]() -> task<> { co_await timeout(5s, body()); };
    auto handle = spawn(limited);
    co_await yield();
    co_await yield();
    const std::string dump = dump_tasks();
    has(dump, "task 2, ready");
    has(dump, "timeout, 5 s left\n      lambda in ");
    co_await handle;
}

OURO_TEST("scopes and combinators show all their branches, each once") {
    event what;
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(outer(what));
        co_await all_of(inner(what), sleep_for(1h));
    };
    auto scoped = [&]() -> task<> { co_await with_scope(body); };
    auto handle = spawn(scoped);
    co_await settle();
    const std::string dump = dump_tasks();
    has(dump, "    scope\n      task ");
    has(dump,
        "        outer  tests/runtime/dump_test.cpp:\n"
        "          inner  tests/runtime/dump_test.cpp:\n"
        "            event\n");
    has(dump, "          all_of\n            task ");
    has(dump, "sleep, 1 h left\n");
    CHECK(dump.find("with_scope") == std::string::npos);  // a frame of our own
    CHECK(dump.find("runtime/combine.hpp") == std::string::npos);
    std::size_t tasks = 0;
    for (auto at = dump.find("task "); at != dump.npos; at = dump.find("task ", at + 1)) ++tasks;
    CHECK(tasks == 6);  // this one, the spawned one, the body, its child, two branches
    handle.cancel();
    co_await settle();
}

OURO_TEST("a task that was asked to stop and did not is shown as such") {
    event what;
    auto body = [&]() -> task<> { co_await shield(inner(what)); };
    auto handle = spawn(body);
    co_await settle();
    handle.cancel();
    has(dump_tasks(), ", cancelled: user\n");
    what.set();
    co_await handle;
}

}  // namespace

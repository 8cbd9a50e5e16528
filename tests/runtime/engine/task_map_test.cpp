#include <ouro/runtime/engine/task_map.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/tests/bare_loop.hpp>

#include <optional>
#include <set>
#include <string>
#include <vector>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

task<> wait_long() { co_await sleep_for(1h); }
task<> end_at_once() { co_return; }

task<cancel_reason> reason_of_end() {
    static_cast<void>(co_await as_result(sleep_for(1h)));
    co_return executor::current().running()->owner->reason();
}

task_map& here() { return executor::current().tasks(); }

}  // namespace

OURO_TEST("a record lives as long as its task or its handle") {
    const auto alive = here().alive();
    const auto records = here().records();
    std::optional<join_handle<void>> handle = spawn(end_at_once());
    CHECK(here().alive() == alive + 1);
    CHECK(here().records() == records + 1);
    co_await settle();
    CHECK(here().alive() == alive);
    CHECK(here().records() == records + 1);
    handle.reset();
    CHECK(here().records() == records);
    spawn(end_at_once()).detach();
    CHECK(here().records() == records + 1);
    co_await settle();
    CHECK(here().records() == records);
}

OURO_TEST("ids are unique, also when records are used again") {
    std::set<task_id> seen;
    for (int round = 0; round < 5; ++round) {
        std::vector<join_handle<void>> handles;
        for (int i = 0; i < 100; ++i) {  // more than one block of records
            handles.push_back(spawn(end_at_once()));
            CHECK(seen.insert(handles.back().id()).second);
            CHECK(here().find(handles.back().id()) != nullptr);
        }
        for (auto& each : handles) co_await each;
        for (auto& each : handles) CHECK(here().find(each.id()) == nullptr);
    }
    CHECK(here().find(0) == nullptr);
    CHECK(here().find(~task_id{0}) == nullptr);
    for (const task_id id : seen) CHECK(here().find(id) == nullptr);
}

OURO_TEST("a walk visits every living task once") {
    std::vector<join_handle<void>> handles;
    for (int i = 0; i < 200; ++i) handles.push_back(spawn(wait_long()));
    for (std::size_t i = 0; i < handles.size(); i += 2) handles[i].cancel();
    co_await settle();
    std::set<task_id> seen;
    here().for_each([&](root_task& each) { CHECK(seen.insert(each.id()).second); });
    CHECK(seen.size() == here().alive());
    for (std::size_t i = 0; i < handles.size(); ++i)
        CHECK(seen.contains(handles[i].id()) == (i % 2 == 1));
}

OURO_TEST("a task knows its name, its birthday and its birthplace") {
    co_await sleep_for(3ms);
    auto handle = spawn(wait_long());
    handle.set_name("the long one");
    root_task& task = *here().find(handle.id());
    CHECK(task.name() == "the long one");
    CHECK(task.born() == clock::now());
    CHECK(std::string(task.birthplace().file_name()).ends_with("task_map_test.cpp"));
    CHECK_FALSE(task.finished());
    CHECK(task.failure() == nullptr);
    handle.cancel();
    co_await settle();
    CHECK(handle.failed());
}

TEST_CASE("cancelling all reaches those that wait, that are ready, and that are yet to come") {
    bare_loop loop;
    auto waiting = spawn(reason_of_end());
    loop.glance();
    auto ready = spawn(reason_of_end());
    loop.tasks().cancel_all(cancel_reason::shutdown);
    auto late = spawn(reason_of_end());
    loop.run_out();
    for (auto* each : {&waiting, &ready, &late})
        CHECK(each->operator co_await().await_resume() == cancel_reason::shutdown);
}

namespace {

/// Spawns its successor when it is asked to stop, a few times.
task<> hydra(int heads, int& ended) {
    static_cast<void>(co_await as_result(sleep_for(1h)));
    if (heads > 0) {
        spawn(hydra(heads - 1, ended)).detach();
        spawn(hydra(heads - 1, ended)).detach();
    }
    ++ended;
}

}  // namespace

TEST_CASE("tasks that start others while they are cancelled end, too") {
    bare_loop loop;
    int ended = 0;
    spawn(hydra(5, ended)).detach();
    loop.glance();
    loop.tasks().cancel_all(cancel_reason::shutdown);
    loop.run_out();
    CHECK(ended == 63);
    CHECK(loop.tasks().records() == 0);
    CHECK(loop.timers().empty());
}

TEST_CASE("room made beforehand is used up without asking for memory") {
    bare_loop loop;
    loop.tasks().make_room(1000);
    for (int i = 0; i < 1000; ++i) spawn(end_at_once()).detach();
    CHECK(loop.tasks().alive() == 1000);
    loop.run_out();
    CHECK(loop.tasks().records() == 0);
}

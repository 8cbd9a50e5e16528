// doctest.hpp: tests whose bodies are coroutines.
//
//   OURO_TEST("a released permit goes to the oldest waiter") {
//       semaphore permits{0};
//       …
//       co_await settle();  // until every task waits
//       CHECK(order == "a");
//   }
//
// The body is a coroutine that returns task<>, so it must contain a co_await or co_return. It runs
// in a simulated world: time is virtual, the network lives in memory, and the order of everything
// that has no promised order is drawn from a seed. Each test runs with several seeds; a failure
// prints its own. Environment:
//
//   OURO_SEED=n     runs with that seed only: replays a failure exactly
//   OURO_SEEDS=n    runs with the seeds 1 to n (4 when not said); OURO_SEEDS=a-b with a to b
//   OURO_REACTOR=r  keeps OURO_TEST_IO to uring or epoll, besides the simulation; to sim alone
//   OURO_PATIENCE=s seconds of real time after which a test is taken for hanging (60)
//
// When the body has ended, what it left running is cancelled and joined; then frames, task records,
// timers, operations in flight, leased buffers and descriptors must be back at zero. A test that
// waits for nothing fails with "would have deadlocked" and a dump of who waits where. An exception
// out of the body fails the test.
//
// What tasks do when several are ready has no promised order: `co_await settle()` between two
// spawns when it matters who comes first. (A spawned task does run after those spawned before.)
#pragma once

#include <ouro/runtime/sim/world.hpp>
#include <ouro/runtime/testing/settle.hpp>
#include <ouro/runtime/testing/sweep.hpp>
#include <ouro/runtime/testing/testing.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <string>

/// A test on the simulated reactor, once per seed.
#define OURO_TEST(sentence) \
    OURO_TEST_NAMED(DOCTEST_ANONYMOUS(ouro_test_), sentence, ::ouro::doctest_on_sim)

/// The same story on uring, uring without set-up flags, epoll and, once per seed, in simulation.
/// Descriptors of the process must return to their count, too. A reactor that this machine refuses
/// fails the test, unless OURO_REACTOR leaves it out.
#define OURO_TEST_IO(sentence) \
    OURO_TEST_NAMED(DOCTEST_ANONYMOUS(ouro_test_), sentence, ::ouro::doctest_on_all)

/// Both belong to the suite "simulated": `--test-suite=simulated` leaves out what no seed decides.
#define OURO_TEST_NAMED(body, sentence, run)                                       \
    static ::ouro::task<> body();                                                  \
    DOCTEST_TEST_CASE(sentence* ::doctest::test_suite("simulated")) { run(body); } \
    static ::ouro::task<> body()

namespace ouro {

/// Counts the failed assertions of this program, so that a sweep stops at the first bad seed.
struct doctest_failures final : doctest::IReporter {
    inline static std::atomic<int> count = 0;  // threads of a test check, too

    explicit doctest_failures(const doctest::ContextOptions&) {}
    void log_assert(const doctest::AssertData& assertion) override { count += assertion.m_failed; }

    void report_query(const doctest::QueryData&) override {}
    void test_run_start() override {}
    void test_run_end(const doctest::TestRunStats&) override {}
    void test_case_start(const doctest::TestCaseData&) override {}
    void test_case_reenter(const doctest::TestCaseData&) override {}
    void test_case_end(const doctest::CurrentTestCaseStats&) override {}
    void test_case_exception(const doctest::TestCaseException&) override {}
    void subcase_start(const doctest::SubcaseSignature&) override {}
    void subcase_end() override {}
    void log_message(const doctest::MessageData&) override {}
    void test_case_skipped(const doctest::TestCaseData&) override {}
};

DOCTEST_REGISTER_LISTENER("ouro failures", 0, doctest_failures);

/// Runs a test in one setting. False when something failed.
inline bool doctest_in(const sim::test_setting& setting, sim::test_body body) {
    const int failures_before = doctest_failures::count;
    DOCTEST_INFO("on ", setting.name());
    const sim::trial_report report = sim::run_test(body, setting);
    const std::string wrong = sim::complaint(report);
    DOCTEST_CHECK_MESSAGE(wrong.empty(), wrong);
    return doctest_failures::count == failures_before;
}

inline void doctest_on_sim(sim::test_body body) {
    for (const sim::test_setting& setting : sim::simulated_settings())
        if (!doctest_in(setting, body)) return;
}

inline void doctest_on_all(sim::test_body body) {
    for (const sim::test_setting& setting : sim::real_settings()) doctest_in(setting, body);
    doctest_on_sim(body);
}

}  // namespace ouro

#include <ouro/runtime/sync/rw_mutex.hpp>

#include "waits_for.hpp"
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/tests/dies.hpp>

#include <functional>
#include <string>

using namespace ouro;

namespace {

// Holds the lock until the gate opens; notes its coming and going.
struct story {
    rw_mutex lock;
    std::string said;
    bool gate = false;
};

task<> reads(story& in, char name) {
    auto held = co_await as_result(in.lock.lock_shared());
    if (!held) {
        in.said += '-';
        co_return;
    }
    in.said += name;
    while (!in.gate) static_cast<void>(co_await as_result(yield()));
}

task<> writes(story& in, char name) {
    auto held = co_await as_result(in.lock.lock());
    if (!held) {
        in.said += '-';
        co_return;
    }
    CHECK(in.lock.locked());
    CHECK(in.lock.readers() == 0);
    in.said += name;
    static_cast<void>(co_await as_result(yield()));
}

OURO_TEST("readers share, writers do not") {
    rw_mutex lock;
    {
        auto one = co_await lock.lock_shared();
        auto two = co_await lock.lock_shared();
        CHECK(lock.readers() == 2);
        CHECK_FALSE(lock.try_lock());
        CHECK(lock.try_lock_shared());
    }
    CHECK(lock.readers() == 0);
    auto alone = co_await lock.lock();
    CHECK(lock.locked());
    CHECK_FALSE(lock.try_lock());
    CHECK_FALSE(lock.try_lock_shared());
    alone.unlock();
    CHECK_FALSE(lock.locked());
}

OURO_TEST("a reader that comes after a waiting writer waits behind it") {
    story in;
    auto held = co_await in.lock.lock_shared();
    auto w = spawn(writes, std::ref(in), 'W');
    co_await settle();
    auto r = spawn(reads, std::ref(in), 'r');
    co_await settle();
    CHECK(waits_for(w) == "rw_mutex write");
    CHECK(waits_for(r) == "rw_mutex read");
    CHECK_FALSE(in.lock.try_lock_shared());
    in.gate = true;
    held.unlock();
    co_await settle();
    CHECK(in.said == "Wr");
}

OURO_TEST("a writer that leaves lets in the readers up to the next writer") {
    story in;
    auto held = co_await in.lock.lock();
    auto a = spawn(reads, std::ref(in), 'a');
    co_await settle();
    auto b = spawn(reads, std::ref(in), 'b');
    co_await settle();
    auto w = spawn(writes, std::ref(in), 'W');
    co_await settle();
    auto c = spawn(reads, std::ref(in), 'c');
    co_await settle();
    held.unlock();
    CHECK(in.lock.readers() == 2);  // a and b, before they run
    while (in.said.size() < 2) co_await yield();
    CHECK((in.said == "ab" || in.said == "ba"));
    in.gate = true;
    co_await settle();
    CHECK(in.said.substr(2) == "Wc");
    CHECK(in.lock.readers() == 0);
}

OURO_TEST("when a waiting writer gives up, the readers behind it come in") {
    story in;
    auto held = co_await in.lock.lock_shared();
    auto w = spawn(writes, std::ref(in), 'W');
    co_await settle();
    auto r = spawn(reads, std::ref(in), 'r');
    co_await settle();
    in.gate = true;
    w.cancel();
    CHECK(in.lock.readers() == 2);
    co_await settle();
    CHECK((in.said == "-r" || in.said == "r-"));
    CHECK(in.lock.readers() == 1);
}

OURO_TEST("a lock that was handed over before the cancellation is held") {
    story in;
    in.gate = true;
    auto held = co_await in.lock.lock();
    auto w = spawn(writes, std::ref(in), 'W');
    co_await settle();
    auto r = spawn(reads, std::ref(in), 'r');
    co_await settle();
    held.unlock();
    w.cancel();
    r.cancel();  // it still waits, behind w
    co_await settle();
    CHECK((in.said == "W-" || in.said == "-W"));
    CHECK_FALSE(in.lock.locked());
    CHECK(in.lock.readers() == 0);
}

OURO_TEST("a chain that was asked to stop is refused") {
    story in;
    auto w = spawn(writes, std::ref(in), 'W');
    auto r = spawn(reads, std::ref(in), 'r');
    w.cancel();
    r.cancel();
    co_await settle();
    CHECK(in.said == "--");
}

OURO_TEST("a writer becomes a reader without letting another writer in") {
    story in;
    auto held = co_await in.lock.lock();
    auto r = spawn(reads, std::ref(in), 'r');
    co_await settle();
    auto w = spawn(writes, std::ref(in), 'W');
    co_await settle();
    auto mine = held.downgrade();
    CHECK_FALSE(held);
    CHECK(mine);
    CHECK(in.lock.readers() == 2);
    in.gate = true;
    co_await settle();
    CHECK(in.said == "r");
    mine.unlock();
    co_await settle();
    CHECK(in.said == "rW");
}

OURO_TEST("a stream of readers does not starve a writer") {
    story in;
    bool written = false;
    int reads_done = 0;
    auto reader = [](story& in, const bool& written, int& reads_done) -> task<> {
        while (!written && reads_done < 10'000) {
            auto held = co_await in.lock.lock_shared();
            co_await yield();
            ++reads_done;
        }
    };
    auto a = spawn(reader, std::ref(in), std::cref(written), std::ref(reads_done));
    auto b = spawn(reader, std::ref(in), std::cref(written), std::ref(reads_done));
    while (reads_done < 10) co_await yield();
    {
        auto held = co_await in.lock.lock();
        written = true;
    }
    co_await a;
    co_await b;
    CHECK(reads_done < 10'000);
}

task<> read_once(rw_mutex& lock) {
    auto held = co_await lock.lock_shared();
    co_await yield();
}

task<> write_once(rw_mutex& lock) {
    auto held = co_await lock.lock();
    co_await yield();
    auto less = held.downgrade();
    co_await yield();
}

task<> read_and_write() {
    rw_mutex lock;
    const auto ended = co_await as_result(with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 2; ++i) {
            tasks.spawn(read_once, lock);
            tasks.spawn(write_once, lock);
            tasks.spawn(read_once, lock);
        }
        co_await yield();
    }));
    CHECK_FALSE(lock.locked());
    CHECK(lock.readers() == 0);
    ended.value();
}

TEST_CASE("cancelled anywhere, nobody keeps the lock") {
    const sweep_report report = cancel_everywhere(read_and_write);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 10);
}

TEST_CASE("destroying a rw_mutex that is held is noticed") {
    const std::string said = dies([] {
        rw_mutex::shared_guard held;
        rw_mutex lock;
        held = lock.try_lock_shared();
    });
    CHECK(says(said, "a held lock is destroyed"));
}

}  // namespace

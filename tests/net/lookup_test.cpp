// What the system's resolver does when getaddrinfo hangs or fails: this program has its own.

#include <ouro/net/resolver.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/blocking.hpp>
#include <ouro/runtime/fs/file.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/time/sleep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/dies.hpp>

#include <doctest/doctest.h>

#include <dlfcn.h>
#include <netdb.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace ouro;
using namespace ouro::net;
using namespace std::chrono_literals;

namespace {

using function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);

/// Names that begin with "hangs" are answered when the gate is open, "127.0.0.1" then; "fails"
/// fails as told; for others the real function is asked.
struct stand_in {
    int answer(const char* host, const char* service, const addrinfo* wanted, addrinfo** found) {
        const std::string_view name = host;
        ++asked;
        if (name.starts_with("fails")) {
            errno = left_errno;
            return error;
        }
        if (name.starts_with("hangs")) {
            std::unique_lock held(lock);
            ++inside;
            changed.notify_all();
            changed.wait(held, [this] { return open; });
            --inside;
            changed.notify_all();
            host = "127.0.0.1";
        }
        // The thread sanitizer knows nothing of the locks inside.
        const std::lock_guard held(in_real);
        return real(host, service, wanted, found);
    }

    void set_open(bool now) {
        const std::lock_guard held(lock);
        open = now;
        changed.notify_all();
    }

    void until_inside(int wanted) {
        std::unique_lock held(lock);
        changed.wait(held, [&] { return inside == wanted; });
    }

    const function real = reinterpret_cast<function>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    std::atomic<int> asked = 0;
    std::atomic<int> error = EAI_NONAME;
    std::atomic<int> left_errno = 0;

    std::mutex in_real;
    std::mutex lock;
    std::condition_variable changed;
    int inside = 0;
    bool open = true;
};

stand_in& names() {
    static stand_in& one = *new stand_in;  // threads may be inside until the very end
    return one;
}

/// Lookups of "hangs…" hang while this lives; then they end.
class hanging {
public:
    hanging() { names().set_open(false); }
    ~hanging() {
        names().set_open(true);
        names().until_inside(0);
    }
};

task<std::error_code> error_of_resolving(resolver& from, std::string host) {
    const auto found = co_await as_result(from.resolve(std::move(host), 80));
    co_return found.error();
}

/// Asks, waits until the system is asked, and gives up.
task<> give_up(resolver& from, std::string host, int inside) {
    auto asking = spawn(error_of_resolving(from, std::move(host)));
    while (true) {
        {
            const std::lock_guard held(names().lock);
            if (names().inside == inside) break;
        }
        co_await yield();
    }
    asking.cancel();
    const std::error_code why = co_await asking;
    CHECK(why == errc::cancelled);
}

}  // namespace

extern "C" int getaddrinfo(const char* host, const char* service, const addrinfo* wanted,
                           addrinfo** found) {
    return names().answer(host, service, wanted, found);
}

TEST_CASE("a lookup that was given up keeps no run from ending and changes no exit code") {
    const hanging now;
    auto main = []() -> task<int> {
        co_await give_up(resolver::of_this_worker(), "hangs.example", 1);
        co_return 0;
    };
    CHECK(run(main(), {.grace = duration::max()}) == 0);
}

TEST_CASE("a lookup that somebody detached waits for keeps no run from ending, either") {
    const hanging now;
    names().asked = 0;
    auto main = []() -> task<int> {
        spawn(error_of_resolving(resolver::of_this_worker(), "hangs.example")).detach();
        while (names().asked == 0) co_await yield();
        co_return 5;
    };
    CHECK(run(main(), {.grace = duration::max()}) == 5);
}

TEST_CASE("a name that was given up is asked for again, and again in the next run") {
    auto ask_again = []() -> task<> {
        resolver& own = resolver::of_this_worker();
        names().asked = 0;
        names().set_open(false);
        co_await give_up(own, "hangs.example", 1);
        co_await give_up(own, "hangs.example", 2);
        CHECK(names().asked == 2);
        // A third time would hold a third thread.
        const std::uint64_t joined = own.stats().joined;
        auto third = spawn(error_of_resolving(own, "hangs.example"));
        while (own.stats().joined == joined) co_await yield();
        third.cancel();
        const std::error_code why = co_await third;
        CHECK(why == errc::cancelled);
        CHECK(names().asked == 2);
    };
    block_on(ask_again());
    // Two threads are still inside; this run has nothing to do with them.
    auto ask = []() -> task<> {
        resolver& own = resolver::of_this_worker();
        names().asked = 0;
        co_await give_up(own, "hangs.example", 3);
        CHECK(names().asked == 1);
        names().set_open(true);
        const std::error_code none = co_await error_of_resolving(own, "hangs.example");
        CHECK(none == std::error_code());
    };
    block_on(ask());
    names().until_inside(0);
}

TEST_CASE("as many lookups as may be hang, and files and blocking calls go on") {
    for (const reactor_kind kind : {reactor_kind::automatic, reactor_kind::epoll}) {
        const hanging now;
        auto body = []() -> task<> {
            resolver own;
            for (int i = 1; i <= 3; ++i) co_await give_up(own, "hangs." + std::to_string(i), i);
            // All threads for lookups are held. One more waits its turn …
            auto queued = spawn(error_of_resolving(own, "localhost"));
            // … and nobody else does.
            file null = co_await file::open("/dev/null");
            std::byte space[8];
            const std::size_t got = co_await null.read_at(space, 0);
            CHECK(got == 0);
            co_await null.close();
            const int two = co_await blocking([] { return 2; });
            CHECK(two == 2);
            CHECK_FALSE(queued.finished());
            names().set_open(true);
            const std::error_code why = co_await queued;
            CHECK(why == std::error_code());
        };
        runtime_options options{.blocking_threads_max = 1, .lookup_threads_max = 3};
        options.reactor.kind = kind;
        block_on(body(), options);
    }
}

TEST_CASE("blocking calls that hang hold up neither lookups nor files") {
    auto body = []() -> task<> {
        std::mutex gate;
        std::atomic<bool> begun = false;
        auto hold = [&]() -> task<> {
            auto work = [&] {
                begun = true;
                const std::lock_guard held(gate);
            };
            co_await blocking(work);
        };
        gate.lock();
        auto holder = spawn(hold);
        while (!begun) co_await yield();
        resolver own;
        const std::error_code why = co_await error_of_resolving(own, "localhost");
        CHECK(why == std::error_code());
        file null = co_await file::open("/dev/null");
        co_await null.close();
        CHECK_FALSE(holder.finished());
        gate.unlock();
        co_await holder;
    };
    runtime_options options{.blocking_threads_max = 1};
    options.reactor.kind = reactor_kind::epoll;
    block_on(body(), options);
}

TEST_CASE("a failed lookup says why, and only an unknown name is remembered") {
    struct failure {
        int error;
        int left_errno;
        std::error_code meaning;
    };
    const failure failures[] = {
        {EAI_NONAME, EMFILE, std::make_error_code(std::errc::too_many_files_open)},
        {EAI_SYSTEM, EMFILE, std::make_error_code(std::errc::too_many_files_open)},
        {EAI_NONAME, ENFILE, std::make_error_code(std::errc::too_many_files_open_in_system)},
        {EAI_AGAIN, ENOMEM, std::make_error_code(std::errc::not_enough_memory)},
        {EAI_MEMORY, 0, std::make_error_code(std::errc::not_enough_memory)},
        {EAI_SYSTEM, EACCES, std::make_error_code(std::errc::permission_denied)},
        {EAI_SYSTEM, 0, std::make_error_code(std::errc::io_error)},
        {EAI_AGAIN, 0, std::make_error_code(std::errc::resource_unavailable_try_again)},
        {EAI_FAIL, 0, std::make_error_code(std::errc::io_error)},
        {EAI_NONAME, 0, errc::host_not_found},
        {EAI_NONAME, ENOENT, errc::host_not_found},
    };
    auto body = [&]() -> task<> {
        for (const failure& each : failures) {
            CAPTURE(each.error);
            CAPTURE(each.left_errno);
            resolver own;
            names().error = each.error;
            names().left_errno = each.left_errno;
            names().asked = 0;
            for (int i = 0; i < 2; ++i) {
                const std::error_code why = co_await error_of_resolving(own, "fails.example");
                CHECK(why.default_error_condition() == each.meaning.default_error_condition());
            }
            CHECK(names().asked == (each.meaning == errc::host_not_found ? 1 : 2));
        }
    };
    block_on(body());
}

TEST_CASE("without a descriptor the system's resolver says so, and with one it finds the name") {
    const ending how = in_child([] {
        auto body = []() -> task<int> {
            resolver own;
            static_cast<void>(co_await error_of_resolving(own, "fails.example"));  // shows types
            rlimit before{};
            ::getrlimit(RLIMIT_NOFILE, &before);
            const int next = ::dup(STDERR_FILENO);  // the lowest that is free
            ::close(next);
            const rlimit none{static_cast<rlim_t>(next), before.rlim_max};
            ::setrlimit(RLIMIT_NOFILE, &none);
            const std::error_code why = co_await error_of_resolving(own, "localhost");
            ::setrlimit(RLIMIT_NOFILE, &before);
            if (why != std::errc::too_many_files_open) co_return 1;
            const std::error_code then = co_await error_of_resolving(own, "localhost");
            co_return then ? 2 : 0;
        };
        return block_on(body());
    });
    CAPTURE(how.said);
    CHECK(how.exit_code == 0);
}

namespace {

/// Cannot be cancelled at first.
struct stubborn_source final : name_source {
    bool stubborn = true;

    task<result<std::vector<endpoint>>> look_up(std::string, std::string) override {
        if (stubborn) co_await shield(sleep_for(1h));
        std::vector<endpoint> found;
        found.emplace_back("192.0.2.1:0");
        co_return found;
    }
};

}  // namespace

TEST_CASE("what a run left behind in a resolver does not hold up the next run") {
    const ending how = in_child([] {
        auto source = std::make_shared<stubborn_source>();
        resolver own({}, source);
        auto in_vain = [&]() -> task<int> {
            // As many lookups as one name may have at a time.
            const auto once = co_await as_result(timeout(1ms, own.resolve("db.example", 80)));
            const auto twice = co_await as_result(timeout(1ms, own.resolve("db.example", 80)));
            co_return once || twice || own.stats().lookups != 2 ? 0 : 7;
        };
        auto again = [&]() -> task<int> {
            const std::error_code why = co_await error_of_resolving(own, "db.example");
            co_return why ? 2 : 3;
        };
        const int left_behind = run(in_vain(), {.grace = 1ms});
        source->stubborn = false;
        return left_behind * 10 + run(again());
    });
    CAPTURE(how.said);
    CHECK(how.exit_code == 13);
}

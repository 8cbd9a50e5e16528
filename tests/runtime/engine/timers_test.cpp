#include <ouro/runtime/engine/timers.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

using ouro::timer;
using ouro::timer_wheel;

constexpr std::int64_t microsecond = 1'000;
constexpr std::int64_t millisecond = 1'000 * microsecond;
constexpr std::int64_t second = 1'000 * millisecond;
constexpr std::int64_t day = 86'400 * second;
constexpr std::int64_t year = 365 * day;
constexpr std::int64_t forever = std::numeric_limits<std::int64_t>::max();

// What the wheel is made of: the span of its finest slots, that of their level, and its levels.
constexpr std::int64_t tick = 1 << 14;
constexpr std::int64_t finest_reach = 64 * tick;
constexpr std::size_t levels = 9;

// Writes its name when it fires, and then does what the test wants.
class probe final : public timer {
public:
    probe(timer_wheel& wheel, std::string& fired, char name)
        : wheel_(wheel), fired_(fired), name_(name) {}
    ~probe() {
        if (armed()) wheel_.disarm(*this);
    }

    std::function<void()> then;

private:
    void fire() noexcept override {
        fired_ += name_;
        if (then) then();
    }

    timer_wheel& wheel_;
    std::string& fired_;
    char name_;
};

// A wheel and three timers, which is enough for most stories.
struct three_timers {
    timer_wheel wheel;
    std::string fired;
    probe a{wheel, fired, 'a'};
    probe b{wheel, fired, 'b'};
    probe c{wheel, fired, 'c'};
};

}  // namespace

TEST_CASE("an empty wheel has nothing to wait for") {
    timer_wheel wheel{5 * second};
    CHECK(wheel.empty());
    CHECK(wheel.size() == 0);
    CHECK(wheel.next() == forever);
    CHECK(wheel.fire(5 * second) == 0);
    CHECK(wheel.fire(forever) == 0);
    CHECK(wheel.next() == forever);
}

TEST_CASE("a timer fires at its deadline and not a nanosecond before") {
    for (std::int64_t when : {std::int64_t{1}, tick - 1, tick, tick + 1, finest_reach, millisecond,
                              second + 1, 60 * second, 3 * day + 7, 290 * year, forever}) {
        CAPTURE(when);
        three_timers with;
        with.wheel.arm(with.a, when);
        CHECK(with.a.armed());
        CHECK(with.a.when() == when);
        CHECK(with.wheel.next() == when);
        CHECK(with.wheel.fire(when - 1) == 0);
        CHECK(with.wheel.next() == when);
        CHECK(with.wheel.fire(when) == 1);
        CHECK(with.fired == "a");
        CHECK_FALSE(with.a.armed());
        CHECK(with.wheel.empty());
    }
}

TEST_CASE("a disarmed timer does not fire") {
    three_timers with;
    with.wheel.arm(with.a, second);
    with.wheel.arm(with.b, second);
    CHECK(with.wheel.size() == 2);
    with.wheel.disarm(with.a);
    CHECK_FALSE(with.a.armed());
    CHECK(with.wheel.size() == 1);
    with.wheel.fire(day);
    CHECK(with.fired == "b");
}

TEST_CASE("timers fire in the order of their deadlines, however far time jumps") {
    for (std::int64_t apart : {std::int64_t{1}, tick, millisecond, second, day, year}) {
        CAPTURE(apart);
        three_timers with;
        with.wheel.arm(with.c, 30 * apart);
        with.wheel.arm(with.a, 10 * apart);
        with.wheel.arm(with.b, 20 * apart);
        CHECK(with.wheel.fire(100 * apart) == 3);
        CHECK(with.fired == "abc");
    }
}

TEST_CASE("timers of one deadline fire in the order of arming") {
    three_timers with;

    SUBCASE("armed at one moment") {
        with.wheel.arm(with.a, 5 * second);
        with.wheel.arm(with.b, 5 * second);
        with.wheel.arm(with.c, 5 * second);
    }
    SUBCASE("armed on the way there") {
        with.wheel.arm(with.a, 5 * second);
        with.wheel.fire(4 * second);
        with.wheel.arm(with.b, 5 * second);
        with.wheel.fire(5 * second - 1);
        with.wheel.arm(with.c, 5 * second);
    }
    SUBCASE("sorted among others") {
        probe later{with.wheel, with.fired, 'z'};
        with.wheel.arm(later, 5 * second + 3);
        with.wheel.arm(with.a, 5 * second);
        with.wheel.arm(with.b, 5 * second);
        with.wheel.arm(with.c, 5 * second);
        with.wheel.fire(5 * second + 2);
    }
    with.wheel.fire(5 * second);
    CHECK(with.fired == "abc");
}

TEST_CASE("a deadline in the past is due at once, in its place among the others") {
    three_timers with;
    with.wheel.fire(day);
    with.wheel.arm(with.c, day);
    with.wheel.arm(with.b, second);
    with.wheel.arm(with.a, -second);
    CHECK(with.wheel.next() == -second);
    CHECK(with.wheel.fire(day) == 3);
    CHECK(with.fired == "abc");
}

TEST_CASE("a timer without end is kept and does not hide the others") {
    three_timers with;
    with.wheel.arm(with.b, forever);
    with.wheel.arm(with.a, second);
    CHECK(with.wheel.next() == second);
    with.wheel.fire(200 * year);
    CHECK(with.fired == "a");
    CHECK(with.b.armed());
    CHECK(with.wheel.fire(forever) == 1);
    CHECK(with.fired == "ab");
}

TEST_CASE("a timer that is due does not fire once a firing one has disarmed it") {
    three_timers with;
    with.a.then = [&] { with.wheel.disarm(with.b); };
    with.wheel.arm(with.a, second);
    with.wheel.arm(with.b, second + 1);
    with.wheel.arm(with.c, 2 * second);

    SUBCASE("in the middle of what is due") {
        CHECK(with.wheel.fire(day) == 2);
        CHECK(with.fired == "ac");
    }
    SUBCASE("at its end") {
        CHECK(with.wheel.fire(second + 1) == 1);
        CHECK(with.fired == "a");
        CHECK(with.wheel.size() == 1);
        CHECK(with.wheel.next() == 2 * second);
    }
    CHECK_FALSE(with.b.armed());
}

TEST_CASE("what a firing timer arms waits for the next call, even if it is due") {
    three_timers with;
    with.a.then = [&] {
        with.wheel.arm(with.a, second);
        with.wheel.arm(with.b, second / 2);
    };
    with.wheel.arm(with.a, second);
    with.wheel.arm(with.c, 2 * second);

    CHECK(with.wheel.fire(2 * second) == 2);
    CHECK(with.fired == "ac");
    CHECK(with.wheel.next() == second / 2);

    with.a.then = nullptr;
    CHECK(with.wheel.fire(2 * second) == 2);
    CHECK(with.fired == "acba");
}

TEST_CASE("a timer that is due may be postponed by a firing one") {
    three_timers with;
    with.a.then = [&] {
        with.wheel.disarm(with.b);
        with.wheel.arm(with.b, day);
    };
    with.wheel.arm(with.a, second);
    with.wheel.arm(with.b, second);
    CHECK(with.wheel.fire(second) == 1);
    CHECK(with.wheel.next() == day);
    CHECK(with.wheel.fire(day) == 1);
    CHECK(with.fired == "ab");
}

TEST_CASE("a timer that re-arms itself beats once per period") {
    three_timers with;
    with.a.then = [&] { with.wheel.arm(with.a, with.a.when() + 10 * millisecond); };
    with.wheel.arm(with.a, 10 * millisecond);
    for (std::int64_t beat = 1; beat <= 1'000; ++beat) {
        REQUIRE(with.wheel.next() == beat * 10 * millisecond);
        REQUIRE(with.wheel.fire(with.wheel.next()) == 1);
    }
    CHECK(with.wheel.size() == 1);
}

TEST_CASE("a firing timer sees the others that are due as armed") {
    three_timers with;
    with.a.then = [&] {
        CHECK_FALSE(with.a.armed());
        CHECK(with.b.armed());
        CHECK(with.wheel.size() == 1);
    };
    with.wheel.arm(with.a, second);
    with.wheel.arm(with.b, second + 1);
    CHECK(with.wheel.fire(day) == 2);
}

TEST_CASE("a timer may end its own life when it fires") {
    timer_wheel wheel;
    std::string fired;
    auto mortal = std::make_unique<probe>(wheel, fired, 'm');
    probe heir{wheel, fired, 'h'};
    mortal->then = [&] {
        auto last_words = std::exchange(mortal->then, nullptr);
        mortal.reset();
    };
    wheel.arm(*mortal, second);
    wheel.arm(heir, second);
    CHECK(wheel.fire(second) == 2);
    CHECK(fired == "mh");
    CHECK(mortal == nullptr);
}

TEST_CASE("next is exact among many deadlines of the nearest slots") {
    timer_wheel wheel{7 * finest_reach};
    std::string fired;
    std::deque<probe> probes;
    std::mt19937_64 random{1};
    std::int64_t earliest = forever;
    for (int i = 0; i < 200; ++i) {
        const auto ahead = static_cast<std::int64_t>(random() % finest_reach);
        probes.emplace_back(wheel, fired, '.');
        wheel.arm(probes.back(), 7 * finest_reach + ahead);
        earliest = std::min(earliest, probes.back().when());
        REQUIRE(wheel.next() == earliest);
    }
}

TEST_CASE("next is exact for a deadline without neighbours, near or far") {
    three_timers with;
    with.wheel.arm(with.a, 3 * second + 5);
    with.wheel.arm(with.b, 2 * year + 5);
    CHECK(with.wheel.next() == 3 * second + 5);
    with.wheel.disarm(with.a);
    CHECK(with.wheel.next() == 2 * year + 5);
}

TEST_CASE("following next reaches every timer exactly at its deadline in few steps") {
    class exact final : public timer {
    public:
        explicit exact(const std::int64_t& now) : now_(now) {}
        bool punctual = false;

    private:
        void fire() noexcept override { punctual = when() == now_; }
        const std::int64_t& now_;
    };

    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        std::mt19937_64 random{seed};
        std::int64_t now = static_cast<std::int64_t>(random() >> (1 + random() % 63));
        timer_wheel wheel{now};
        std::deque<exact> timers;
        for (int i = 0; i < 1'000; ++i) {
            const auto ahead = static_cast<std::int64_t>(random() >> (1 + random() % 63));
            timers.emplace_back(now);
            wheel.arm(timers.back(), now + std::min(ahead, forever - now));
        }

        std::size_t steps = 0;
        for (; !wheel.empty() && steps < timers.size() * levels; ++steps) {
            const std::int64_t next = wheel.next();
            REQUIRE((steps == 0 ? now <= next : now < next));
            now = next;
            wheel.fire(now);
        }
        REQUIRE(wheel.empty());
        CHECK(std::all_of(timers.begin(), timers.end(), [](auto& t) { return t.punctual; }));
    }
}

namespace {

// Does the same to a wheel and to a multimap (which keeps equal keys in the order of insertion),
// at random, and counts the differences between them.
class comparison {
public:
    explicit comparison(std::uint64_t seed);
    ~comparison();

    void step();

    std::size_t fired() const { return fired_; }
    std::size_t differences() const { return differences_; }

private:
    class member final : public timer {
    public:
        explicit member(comparison& all) : all_(all) {}

    private:
        void fire() noexcept override { all_.on_fire(*this); }
        comparison& all_;
    };
    using model = std::multimap<std::int64_t, member*>;

    void change_one();
    void arm(member& which, std::int64_t when);
    void disarm(member& which);
    static bool erase(model& from, member& which);

    void advance();
    void on_fire(member& which);
    void compare();
    void expect(bool same) { differences_ += same ? 0 : 1; }

    std::int64_t some_deadline();
    std::int64_t some_moment();
    std::int64_t some_span();
    std::int64_t later(std::int64_t span) const { return now_ + std::min(span, forever - now_); }
    std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
    member& some_member() { return members_[below(members_.size())]; }

    std::mt19937_64 random_;
    std::uint64_t span_bits_max_;
    std::int64_t now_;
    timer_wheel wheel_;
    std::deque<member> members_;
    model armed_;
    model due_;  // what has yet to fire while firing_
    bool firing_ = false;
    std::size_t fired_ = 0;
    std::size_t differences_ = 0;
};

comparison::comparison(std::uint64_t seed)
    : random_(seed), span_bits_max_(4 + below(59)), now_(some_span()), wheel_(now_) {
    const std::uint64_t members = 1 + below(200);
    for (std::uint64_t i = 0; i < members; ++i) members_.emplace_back(*this);
}

comparison::~comparison() {
    for (member& each : members_) {
        if (each.armed()) wheel_.disarm(each);
    }
}

void comparison::step() {
    const std::uint64_t changes = below(20);
    for (std::uint64_t i = 0; i < changes; ++i) change_one();
    advance();
}

void comparison::change_one() {
    member& which = some_member();
    if (which.armed()) {
        disarm(which);
    } else {
        arm(which, some_deadline());
    }
    compare();
}

void comparison::arm(member& which, std::int64_t when) {
    wheel_.arm(which, when);
    armed_.emplace(when, &which);
}

void comparison::disarm(member& which) {
    wheel_.disarm(which);
    expect(erase(due_, which) || erase(armed_, which));
}

bool comparison::erase(model& from, member& which) {
    const auto [first, last] = from.equal_range(which.when());
    const auto found = std::find_if(first, last, [&](auto& each) { return each.second == &which; });
    if (found == last) return false;
    from.erase(found);
    return true;
}

void comparison::advance() {
    now_ = some_moment();
    const auto later = armed_.upper_bound(now_);
    due_.insert(armed_.begin(), later);
    armed_.erase(armed_.begin(), later);

    const std::size_t before = fired_;
    firing_ = true;
    const std::size_t fired = wheel_.fire(now_);
    firing_ = false;
    expect(fired == fired_ - before);
    expect(due_.empty());
    compare();
}

void comparison::on_fire(member& which) {
    ++fired_;
    expect(!which.armed());
    expect(!due_.empty() && due_.begin()->second == &which);
    if (!due_.empty()) due_.erase(due_.begin());
    compare();
    if (below(3) == 0) change_one();
    if (below(6) == 0 && !which.armed()) arm(which, some_deadline());
}

void comparison::compare() {
    expect(wheel_.size() == armed_.size() + due_.size());
    if (firing_) return;

    const std::int64_t next = wheel_.next();
    if (armed_.empty()) return expect(next == forever);

    const std::int64_t earliest = armed_.begin()->first;
    const bool overdue = earliest <= now_;
    const bool near = earliest / finest_reach <= now_ / finest_reach;
    expect(near ? next == earliest : next <= earliest);
    expect(overdue || now_ < next);
}

std::int64_t comparison::some_deadline() {
    switch (below(8)) {
        case 0: return now_ - some_span();
        case 1: return some_member().when();
        case 2: return later(some_span()) / tick * tick;
        case 3: return later(some_span()) / second * second;
        case 4: return later(static_cast<std::int64_t>(below(3 * tick)));
        default: return later(some_span());
    }
}

std::int64_t comparison::some_moment() {
    switch (below(8)) {
        case 0: return now_;
        case 1: return armed_.empty() ? now_ : std::max(now_, wheel_.next());
        case 2: return std::max(now_, some_member().when());
        case 3: return std::max(now_, some_member().when() - 1);
        case 4: return later(static_cast<std::int64_t>(below(3 * tick)));
        case 5: return later(some_span());
        default: return later(some_span() >> 8);
    }
}

// All magnitudes are equally likely.
std::int64_t comparison::some_span() {
    return static_cast<std::int64_t>(random_() >> (64 - 1 - below(span_bits_max_)));
}

}  // namespace

TEST_CASE("a wheel does what a multimap would do, at every scale of time") {
    std::size_t fired = 0;
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        comparison both{seed};
        for (int i = 0; i < 300; ++i) both.step();
        REQUIRE(both.differences() == 0);
        fired += both.fired();
    }
    CHECK(fired > 100'000);
}

#include <ouro/net/session/lasting.hpp>

#include <ouro/runtime/sim/world.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/testing/sweep.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/net/lasting_line.hpp>

#include <string>

using namespace ouro;
using namespace ouro::lasting_line;

namespace {

/// An address at which nobody listens.
net::endpoint nobody() { return net::listener(net::endpoint("127.0.0.1:0")).local(); }

// Attempts that fail.

OURO_TEST("where nobody answers it tries again, after waits that grow") {
    const auto on = client::open(nobody(), steady());
    on->story.reserve(100);
    co_await on->tried().wait();
    CHECK(on->failure().code == std::errc::connection_refused);
    CHECK(!on->failure().refusal);
    co_await sleep_for(10s);
    CHECK(on->dials == 7);  // after 0, 0.1, 0.3, 0.7, 1.5, 3.1 and 6.3 seconds
    CHECK(on->story == "FFFFFFF");
    co_await on->closed();
    CHECK(on->story == "FFFFFFFN");
}

OURO_TEST("a handshake that is never answered ends when its time is up") {
    server there;
    there->greeting.clear();
    const auto on = client::open(there.where(), steady());
    const time_point began = clock::now();
    co_await on->tried().wait();
    CHECK(on->failure().code == errc::timed_out);
    CHECK(clock::now() - began >= 1s);
    CHECK(clock::now() - began < 1100ms);
    there->greeting = "welcome\n";
    const std::error_code asked = co_await ask_once(*on);
    CHECK(!asked);
    CHECK(!on->failure().code);
    CHECK(there->open == 1);  // the other one was closed
    co_await on->closed();
}

OURO_TEST("a refusal is told at once to who waits, and is tried again") {
    server there;
    there->greeting = "who are you?\n";
    const auto on = client::open(there.where(), steady());
    on->story.reserve(100);
    const time_point began = clock::now();
    const std::error_code asked = co_await ask_once(*on);
    CHECK(asked == std::errc::permission_denied);
    CHECK(clock::now() - began < 100ms);
    CHECK(on->failure().refusal);
    CHECK(on->failure().words == "who are you?");
    there->greeting = "welcome\n";
    co_await sleep_for(200ms);
    CHECK(on->story == "RE");
    CHECK(!on->failure().code);
    co_await on->closed();
}

OURO_TEST("what passes is no refusal: who waits is told when his time is up, and why") {
    server there;
    there->greeting = "busy\n";
    net::session_options requests;
    requests.request_timeout = 3s;
    const auto on = client::open(there.where(), steady(), requests);
    const time_point began = clock::now();
    const std::error_code asked = co_await ask_once(*on);
    CHECK(asked == std::errc::resource_unavailable_try_again);
    CHECK(clock::now() - began >= 3s);
    co_await on->closed();
}

OURO_TEST("a fault in the handshake is a failed attempt like any other") {
    server there;
    const auto on = client::open(there.where(), steady());
    on->throws = true;
    co_await on->tried().wait();
    CHECK(on->failure().code == std::errc::state_not_recoverable);
    on->throws = false;
    const std::error_code asked = co_await ask_once(*on);
    CHECK(!asked);
    co_await on->closed();
}

OURO_TEST("a failure is remembered while the next attempt is under way") {
    server there;
    there->greeting = "busy\n";
    const auto on = client::open(there.where(), steady());
    co_await on->tried().wait();
    there->greeting.clear();
    co_await sleep_for(500ms);
    CHECK(there->open == 1);
    CHECK(on->failure().words == "busy");
    co_await on->closed();
}

OURO_TEST("who is not to reconnect ends with the first failure, or the first connection") {
    server there;
    net::lasting_options once = steady();
    once.reconnect = false;
    const auto failing = client::open(nobody(), once);
    failing->story.reserve(10);
    co_await failing->over().wait();
    CHECK(failing->story == "FN");
    CHECK(failing->failure().code == std::errc::connection_refused);
    const std::error_code late = co_await ask_once(*failing);
    CHECK(late == std::errc::connection_refused);

    const auto losing = client::open(there.where(), once);
    losing->story.reserve(10);
    co_await losing->tried().wait();
    there.hang_up();
    co_await losing->over().wait();
    CHECK(losing->story == "ELN");
    CHECK(losing->failure().code == errc::closed);
}

// Connections that are lost.

OURO_TEST("a server that takes connections and drops them sees them less and less often") {
    server there;
    there->keeps = false;
    const auto on = client::open(there.where(), steady());
    co_await sleep_for(10s);
    CHECK(there->connections == 7);
    there->keeps = true;
    co_await sleep_for(20s);  // the next one lasts as long as the longest wait
    CHECK(there->connections == 8);
    there.hang_up();
    co_await sleep_for(90ms);
    CHECK(there->connections == 8);
    co_await sleep_for(20ms);
    CHECK(there->connections == 9);
    co_await on->closed();
}

OURO_TEST("one that lasted is made again at once where that is wanted") {
    server there;
    net::lasting_options how = steady();
    how.again_at_once = true;
    const auto on = client::open(there.where(), how);
    co_await sleep_for(11s);
    there.hang_up();
    co_await sleep_for(10ms);
    CHECK(there->connections == 2);
    there.hang_up();  // and that one has not lasted
    co_await sleep_for(10ms);
    CHECK(there->connections == 2);
    co_await on->closed();
}

OURO_TEST("lost behind any byte that the server says, it is made again") {
    for (std::size_t bytes = 0; bytes < std::string_view("welcome\nping\n").size(); ++bytes) {
        server there;
        there->bytes_left = bytes;
        const auto on = client::open(there.where(), steady());
        const std::error_code asked = co_await ask_once(*on, 1);
        CHECK(!asked);
        CHECK(there->connections == 2);
        co_await on->closed();
        co_await settle();
        CHECK(there->open == 0);
    }
}

OURO_TEST("lost behind any byte that the server takes, it is made again") {
    for (std::size_t bytes = 1; bytes < std::string_view("hello\nping\n").size(); ++bytes) {
        server there;
        there->bytes_read = bytes;
        const auto on = client::open(there.where(), steady());
        const std::error_code asked = co_await ask_once(*on, 1);
        CHECK(!asked);
        CHECK(there->connections == 2);
        co_await on->closed();
        co_await settle();
        CHECK(there->open == 0);
    }
}

// Its end.

OURO_TEST("it can be closed at any moment, and leaves nothing") {
    sim::world::current().set_conditions({.delay_min = 1ms, .delay_max = 3ms});
    bool answered = false;
    int moments = 0;
    for (duration moment{0}; !answered; moment += 100us) {
        server there;
        const auto on = client::open(there.where(), steady());
        on->story.reserve(10);
        auto asked = spawn(ask_once(*on));
        co_await sleep_for(moment);
        const bool was_connected = on->connections() > 0;
        co_await on->closed();
        const std::error_code told = co_await asked;
        CHECK((!told || told == errc::closed));
        CHECK(on->tried().is_set());
        CHECK(on->failure().code == errc::closed);
        CHECK(on->story == (was_connected ? "ELN" : "N"));
        co_await sleep_for(10ms);
        CHECK(there->open == 0);
        answered = !told;
        if (++moments == 1000) break;
    }
    CHECK(answered);
    CHECK(moments > 20);
}

OURO_TEST("closed while it waits between two attempts, it ends at once") {
    const auto on = client::open(nobody(), steady(1h, 1h));
    co_await on->tried().wait();
    const time_point began = clock::now();
    co_await on->closed();
    CHECK(clock::now() - began < 1ms);
    CHECK(on->dials == 1);
}

OURO_TEST("finished, it has the replies to what was sent and nothing more") {
    server there;
    const auto on = client::open(there.where(), steady());
    on->story.reserve(10);
    co_await on->tried().wait();
    auto sent = spawn(ask_once(*on));
    while (on->in_flight() == 0) co_await yield();
    const time_point began = clock::now();
    on->finish();
    const std::error_code late = co_await ask_once(*on);
    CHECK(late == errc::closed);
    const std::error_code first = co_await sent;
    CHECK(!first);
    co_await on->over().wait();
    CHECK(clock::now() - began < 10ms);
    CHECK(on->story == "ELN");
    CHECK(there->connections == 1);
}

OURO_TEST("finished without a connection, it ends at once") {
    server there;
    there->greeting.clear();
    const auto on = client::open(there.where(), steady());
    co_await sleep_for(100ms);
    on->finish();
    const time_point began = clock::now();
    co_await on->over().wait();
    CHECK(clock::now() - began < 1ms);
}

// Moving.

OURO_TEST("to move calls off what is under way, is no failure, and needs no wait") {
    server first, second;
    first->greeting.clear();
    const auto on = client::open(first.where(), steady(1h, 2h));
    on->story.reserve(10);
    co_await sleep_for(100ms);  // it shakes hands
    on->where = second.where();
    on->move();
    co_await on->tried().wait();
    CHECK(on->story == "E");
    CHECK(first->open == 0);

    first->greeting = "welcome\n";
    on->where = first.where();
    on->move();  // it is served
    co_await sleep_for(10ms);
    CHECK(on->story == "ELE");
    CHECK(second->open == 0);

    first.hang_up();
    co_await sleep_for(100ms);  // it waits for an hour
    CHECK(on->story == "ELEL");
    on->where = second.where();
    on->move();
    co_await sleep_for(10ms);
    CHECK(on->story == "ELELE");
    co_await on->closed();
}

OURO_TEST("one that is guided sets out when it is told, and only then") {
    server there;
    net::lasting_options how = steady();
    how.guided = true;
    const auto on = client::open(there.where(), how);
    on->story.reserve(10);
    co_await sleep_for(1min);
    CHECK(on->dials == 0);
    on->move();
    CHECK(on->is_told());
    co_await on->tried().wait();
    CHECK(!on->is_told());
    on->hold();
    co_await sleep_for(1min);
    CHECK(on->story == "EL");
    CHECK(!on->is_connected());
    on->move();
    co_await sleep_for(10ms);
    CHECK(on->story == "ELE");
    there.hang_up();  // who guides it may know another place by now
    co_await sleep_for(1min);
    CHECK(on->dials == 2);
    co_await on->closed();
}

// Cancelling.

task<> live_and_end() {
    server there;
    there->bytes_left = 10;  // the first connection is lost in its first reply
    const auto on = client::open(there.where(), steady(1ms, 1s));
    on->story.reserve(20);
    struct closing {
        std::shared_ptr<client> on;
        ~closing() { on->close(); }
    } end{on};
    const std::error_code asked = co_await ask_once(*on, 1);
    if (asked) throw std::system_error(asked);
    CHECK(there->connections == 2);
    co_await on->closed();
    CHECK(on->story == "ELELN");
}

TEST_CASE("who uses it can be cancelled anywhere, and nothing is left") {
    const auto report = cancel_everywhere_on_all(live_and_end);
    CHECK_MESSAGE(report.clean(), report.complaints);
    CHECK(report.points > 10);
}

}  // namespace

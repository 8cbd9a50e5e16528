#include <ouro/kv/memcached/connection/session.hpp>

#include <ouro/kv/memcached/client.hpp>
#include <ouro/kv/memcached/testing/fake_server.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/timeout.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace ouro::memcached {
namespace {

using namespace std::chrono_literals;

std::string honestly(const heard_request& asked, fake_caller&) { return honest(asked); }

/// What came of one get, and whether it could be right.
struct answer {
    std::string key;
    result<std::optional<std::string>> got = ouro::errc::cancelled;

    bool is_right() const { return !got || !*got || **got == key + "'s"; }
};

task<> ask(client& cache, answer& into) { into.got = co_await as_result(cache.get(into.key)); }

/// Asks for n keys at once and waits for all.
task<std::vector<answer>> ask_for(client& cache, int n) {
    std::vector<answer> all(static_cast<std::size_t>(n));
    std::vector<join_handle<void>> asking;
    for (std::size_t i = 0; i < all.size(); ++i) {
        all[i].key = "key" + std::to_string(i);
        asking.push_back(spawn(ask, std::ref(cache), std::ref(all[i])));
    }
    for (join_handle<void>& each : asking) co_await each;
    co_return all;
}

int right_ones(const std::vector<answer>& all) {
    int count = 0;
    for (const answer& one : all) {
        CHECK(one.is_right());
        count += one.got.has_value();
    }
    return count;
}

// Batching.

OURO_TEST("what 64 tasks ask in one turn leaves in one segment") {
    sim::world::current().split_by(sim::splitting::whole);
    fake_server server(honestly);
    client cache = co_await client::connect(server.address());
    const int before = server.receives();
    const std::vector<answer> all = co_await ask_for(cache, 64);
    CHECK(right_ones(all) == 64);
    CHECK(server.receives() == before + 1);
    CHECK(server.connections() == 1);
}

OURO_TEST("each caller goes on when its own reply is there") {
    fake_server server([](const heard_request& asked, fake_caller&) {
        return asked.key() == "silent" ? std::string() : honest(asked);
    });
    client cache = co_await client::connect(server.address());
    auto first = spawn(cache.get("first"));
    auto silent = spawn(cache.get("silent"));
    co_await settle();
    CHECK(first.finished());
    CHECK_FALSE(silent.finished());
    silent.cancel();
    auto ended = co_await as_result(silent);
    CHECK(ended.error() == ouro::errc::cancelled);
}

// A peer that breaks off.

OURO_TEST("a connection that breaks at any byte gives nobody what is another's") {
    const std::size_t whole = 6 * std::string("VA 6 O1\r\nkey0's\r\n").size() + 20;
    for (std::size_t bytes = 0; bytes <= whole; ++bytes) {
        fake_server server([bytes](const heard_request& asked, fake_caller& caller) {
            if (caller.number == 0 && caller.bytes_left > whole) caller.bytes_left = bytes;
            return honest(asked);
        });
        client cache = co_await client::connect(server.address());
        const std::vector<answer> all = co_await ask_for(cache, 6);
        CHECK(right_ones(all) == 6);  // reads are asked for again
        co_await cache.close();
    }
}

OURO_TEST("without repeats, who was not answered is told so, and the others have their values") {
    sim::world::current().split_by(sim::splitting::whole);
    for (std::size_t bytes = 1; bytes <= 60; ++bytes) {
        fake_server server([bytes](const heard_request& asked, fake_caller& caller) {
            if (caller.number == 0 && caller.bytes_left > 60) caller.bytes_left = bytes;
            return honest(asked);
        });
        client cache = co_await client::connect(server.address(), {.read_repeats = 0});
        const std::vector<answer> all = co_await ask_for(cache, 4);
        const int right = right_ones(all);
        CHECK(right >= static_cast<int>(bytes / 18));
        CHECK(right < 4);
        const std::optional<std::string> later = co_await cache.get("later");
        CHECK(later == "later's");
        co_await cache.close();
    }
}

OURO_TEST("a write that left and was not answered is not sent again, and its caller knows") {
    fake_server server([](const heard_request& asked, fake_caller& caller) {
        if (caller.number == 0 && asked.verb() == "ms") {
            caller.close = true;
            return std::string();
        }
        return honest(asked);
    });
    client cache = co_await client::connect(server.address());
    try {
        co_await cache.set("a", "1");
        CHECK(false);
    } catch (const error& failure) {
        CHECK(failure.how_far() == net::fate::unanswered);
        CHECK(failure.server() == server.address());
    }
    co_await cache.set("a", "1");
    CHECK(server.heard().size() == 2);
}

OURO_TEST("what was not sent when the connection broke waits for the next one") {
    sim::world::current().split_by(sim::splitting::whole);
    fake_server server([](const heard_request& asked, fake_caller& caller) {
        if (asked.key() == "end") caller.close = true;
        return asked.key() == "end" ? std::string() : honest(asked);
    });
    client cache = co_await client::connect(server.address(), {.read_repeats = 0});
    auto ended = co_await as_result(cache.get("end"));
    CHECK_FALSE(ended);
    co_await cache.set("a", "1");  // no connection now
    CHECK(server.connections() == 2);
    CHECK(cache.figures().servers[0].connections == 2);
}

// A peer that answers wrongly.

OURO_TEST("a wrong opaque ends the connection, and everybody outstanding is told") {
    sim::world::current().split_by(sim::splitting::whole);  // so that all six are outstanding
    fake_server server([](const heard_request& asked, fake_caller& caller) {
        if (caller.number > 0 || asked.key() != "key2") return honest(asked);
        return std::string("VA 3 O999999\r\nbad\r\n");
    });
    client cache = co_await client::connect(server.address(), {.read_repeats = 0});
    const std::vector<answer> all = co_await ask_for(cache, 6);
    CHECK(all[0].got);
    CHECK(all[1].got);
    for (std::size_t i = 2; i < 6; ++i) CHECK(all[i].got.error() == errc::wrong_opaque);
    CHECK(right_ones(all) == 2);
    const std::optional<std::string> later = co_await cache.get("later");
    CHECK(later == "later's");
    CHECK(server.connections() == 2);
}

OURO_TEST("behind a wrong opaque, what had been sent whole is told, and the rest goes out again") {
    fake_server server([](const heard_request& asked, fake_caller& caller) {
        if (caller.number > 0 || asked.key() != "key2") return honest(asked);
        return std::string("VA 3 O999999\r\nbad\r\n");
    });
    client cache = co_await client::connect(server.address(), {.read_repeats = 0});
    const std::vector<answer> all = co_await ask_for(cache, 6);
    const int right = right_ones(all);
    CHECK(right >= 2);
    CHECK(all[2].got.error() == errc::wrong_opaque);
    bool was_sent = true;
    for (std::size_t i = 2; i < 6; ++i) {
        const bool told = !all[i].got;
        if (told) CHECK(all[i].got.error() == errc::wrong_opaque);
        CHECK((was_sent || !told));  // who was not sent stood behind those who were
        was_sent = told;
    }
    CHECK(server.connections() == (right > 2 ? 2 : server.connections()));
}

OURO_TEST("replies in another order reach nobody") {
    sim::world::current().split_by(sim::splitting::whole);
    std::string held;
    fake_server server([&held](const heard_request& asked, fake_caller& caller) {
        if (caller.number > 0) return honest(asked);
        if (held.empty()) {
            held = honest(asked);
            return std::string();
        }
        return honest(asked) + std::exchange(held, {});
    });
    client cache = co_await client::connect(server.address(), {.read_repeats = 0});
    const std::vector<answer> all = co_await ask_for(cache, 4);
    CHECK(right_ones(all) == 0);
    const std::vector<answer> again = co_await ask_for(cache, 4);
    CHECK(right_ones(again) == 4);
}

OURO_TEST("a reply that is left out shifts nobody's") {
    fake_server server([](const heard_request& asked, fake_caller& caller) {
        return caller.number == 0 && asked.key() == "key1" ? std::string() : honest(asked);
    });
    client cache = co_await client::connect(server.address());
    const std::vector<answer> all = co_await ask_for(cache, 6);
    CHECK(right_ones(all) == 6);  // the second connection answers everything
    CHECK(server.connections() == 2);
}

OURO_TEST("a reply without its opaque, or said twice, ends the connection") {
    for (const bool twice : {false, true}) {
        fake_server server([twice](const heard_request& asked, fake_caller& caller) {
            if (caller.number > 0) return honest(asked);
            return twice ? honest(asked) + honest(asked) : std::string("EN\r\n");
        });
        client cache = co_await client::connect(server.address());
        const std::vector<answer> all = co_await ask_for(cache, 3);
        CHECK(right_ones(all) == 3);
        CHECK(server.connections() == 2);
        co_await cache.close();
    }
}

OURO_TEST("where a caller has gone, a reply of the past and one of nobody end the connection") {
    // Once with the reply before, once with an older one, once with one that was never asked for.
    for (const char* wrong : {"VA 3 O2\r\nb's\r\n", "VA 3 O1\r\na's\r\n", "VA 3 O99\r\nx's\r\n"}) {
        CAPTURE(wrong);
        fake_server server([wrong](const heard_request& asked, fake_caller& caller) {
            if (caller.number > 0) return honest(asked);
            if (asked.key() == "gone") return std::string();
            return asked.key() == "next" ? std::string(wrong) : honest(asked);
        });
        client cache = co_await client::connect(server.address(), {.read_repeats = 0});
        CHECK(co_await cache.get("a") == "a's");
        CHECK(co_await cache.get("b") == "b's");
        auto gone = spawn(cache.get("gone"));
        co_await settle();
        gone.cancel();
        CHECK(!co_await as_result(gone));
        // What came in the place of `gone` was not its reply, so what comes next is not ours.
        auto next = co_await as_result(timeout(1s, cache.get("next")));
        CHECK(next.error() == errc::wrong_opaque);
        CHECK(co_await cache.get("later") == "later's");
        CHECK(server.connections() == 2);
        co_await cache.close();
    }
}

OURO_TEST("the youngest is cancelled, then another is asked: each slot has its own reply") {
    for (const dialect each : {dialect::meta, dialect::text}) {
        std::string held;
        fake_server server([&held](const heard_request& asked, fake_caller&) {
            if (asked.key() == "first") held = honest(asked);
            return asked.key() == "first" ? std::string() : held + honest(asked);
        });
        client cache =
            co_await client::connect(server.address(), {.dialect = each, .read_repeats = 0});
        auto first = spawn(cache.get("first"));
        co_await settle();
        first.cancel();
        CHECK(!co_await as_result(first));
        CHECK(co_await cache.get("second") == "second's");
        CHECK(server.connections() == 1);
        co_await cache.close();
    }
}

OURO_TEST("bytes that nobody asked for end the connection before they can be taken for a reply") {
    fake_server server([](const heard_request& asked, fake_caller& caller) {
        return honest(asked) + (caller.number == 0 ? "HD O2\r\n" : "");
    });
    client cache = co_await client::connect(server.address());
    const std::optional<std::string> first = co_await cache.get("a");
    CHECK(first == "a's");
    co_await settle();
    const std::optional<std::string> second = co_await cache.get("b");
    CHECK(second == "b's");
    CHECK(server.connections() == 2);
}

OURO_TEST("garbage, lines without an end and impossible lengths are no replies") {
    for (const std::string& bad :
         {std::string("\0\0\0\0\r\n", 6), std::string(5000, 'x'), std::string("HTTP/1.1 200\r\n"),
          std::string("VA 99999999999 O1\r\n"), std::string("VA -1 O1\r\n"), std::string("\r\n"),
          std::string("VA 1 O1\r\nabc\r\n"), std::string("HD O1\n")}) {
        fake_server server([&bad](const heard_request&, fake_caller&) { return bad; });
        client cache = co_await client::connect(server.address(), {.read_repeats = 0});
        auto got = co_await as_result(cache.get("a"));
        CHECK(got.error() == errc::bad_reply);
        co_await cache.close();
    }
}

OURO_TEST("in the text dialect a value of another key ends the connection") {
    fake_server server([](const heard_request& asked, fake_caller& caller) {
        if (caller.number == 0 && asked.verb() == "get")
            return std::string("VALUE other 0 1\r\nx\r\nEND\r\n");
        return honest(asked);
    });
    client cache = co_await client::connect(server.address(), {.dialect = dialect::text});
    const std::vector<answer> all = co_await ask_for(cache, 4);
    CHECK(right_ones(all) == 4);
    CHECK(server.connections() == 2);
}

OURO_TEST("a get whose connection breaks between its values and the end is asked again") {
    sim::world::current().split_by(sim::splitting::whole);
    for (std::size_t bytes = 1; bytes < 53; ++bytes) {
        fake_server server([bytes](const heard_request& asked, fake_caller& caller) {
            if (caller.number == 0 && asked.verb() == "get") caller.bytes_left = bytes;
            return honest(asked);
        });
        client cache = co_await client::connect(server.address(), {.dialect = dialect::text});
        const std::vector<std::string_view> keys{"key1", "key2"};
        const auto values = co_await cache.get_multi(keys);
        CHECK(values[0] == "key1's");
        CHECK(values[1] == "key2's");
        const std::optional<std::string> got = co_await cache.get("key3");
        CHECK(got == "key3's");
        CHECK(server.connections() == 2);
        co_await cache.close();
    }
}

OURO_TEST("one value larger than the limit fails its caller alone") {
    fake_server server([](const heard_request& asked, fake_caller&) {
        if (asked.key() != "key1") return honest(asked);
        return "VA 5000" + asked.opaque() + "\r\n" + std::string(5000, 'x') + "\r\n";
    });
    client cache = co_await client::connect(server.address(), {.value_bytes_max = 100});
    const std::vector<answer> all = co_await ask_for(cache, 4);
    CHECK(all[1].got.error() == errc::value_too_large);
    CHECK(right_ones(all) == 3);
    CHECK(server.connections() == 1);
}

OURO_TEST("a CLIENT_ERROR to a store closes the connection: the value may be taken for commands") {
    fake_server server([](const heard_request& asked, fake_caller& caller) {
        if (caller.number == 0 && asked.verb() == "ms")
            return std::string("CLIENT_ERROR bad data chunk\r\n");
        return honest(asked);
    });
    client cache = co_await client::connect(server.address());
    auto storing = spawn(cache.set("a", "get b"));
    auto getting = spawn(cache.get("c"));
    auto stored = co_await as_result(storing);
    CHECK(stored.error() == errc::client_error);
    const std::optional<std::string> got = co_await getting;
    CHECK(got == "c's");
    CHECK(server.connections() == 2);
}

OURO_TEST("a SERVER_ERROR is its caller's alone") {
    fake_server server([](const heard_request& asked, fake_caller&) {
        if (asked.key() == "key1") return std::string("SERVER_ERROR out of memory\r\n");
        return honest(asked);
    });
    client cache = co_await client::connect(server.address());
    const std::vector<answer> all = co_await ask_for(cache, 4);
    CHECK(all[1].got.error() == errc::out_of_memory);
    CHECK(right_ones(all) == 3);
    CHECK(server.connections() == 1);
}

// A peer that is slow.

OURO_TEST(
    "a request that is not answered in time gives the connection up, and late replies with it") {
    fake_server server([](const heard_request& asked, fake_caller& caller) {
        return caller.number == 0 ? std::string() : honest(asked);
    });
    client cache = co_await client::connect(
        server.address(), {.request_timeout = 1s, .read_repeats = 0, .failures_max = 3});
    const std::vector<answer> all = co_await ask_for(cache, 3);
    for (const answer& one : all) CHECK(one.got.error() == ouro::errc::timed_out);
    const std::optional<std::string> later = co_await cache.get("later");
    CHECK(later == "later's");
}

OURO_TEST("a caller with a deadline of its own leaves, and its reply reaches nobody else") {
    sim::world::current().set_conditions({.delay_min = 20ms, .delay_max = 30ms});
    fake_server server(honestly);
    client cache = co_await client::connect(server.address());
    for (int i = 0; i < 20; ++i) {
        const std::string key = "mine" + std::to_string(i);
        auto hasty = co_await as_result(timeout(1ms + i * 2ms, cache.get(key)));
        CHECK((!hasty || **hasty == key + "'s"));
        const std::optional<std::string> patient = co_await cache.get("patient");
        CHECK(patient == "patient's");
    }
    CHECK(server.connections() == 1);
}

OURO_TEST("more requests than may wait are refused at once, and nobody else is harmed") {
    fake_server server([](const heard_request& asked, fake_caller& caller) {
        if (caller.number > 0) return std::string();
        caller.close = true;
        return honest(asked);
    });
    client cache = co_await client::connect(server.address(), {.queued_max = 2});
    const std::optional<std::string> last = co_await cache.get("last");
    CHECK(last == "last's");
    co_await settle();  // there is no connection for a moment
    std::vector<join_handle<std::optional<std::string>>> waiting;
    for (int i = 0; i < 2; ++i) waiting.push_back(spawn(cache.get("waits")));
    co_await settle();
    try {
        co_await cache.set("a", "1");
        CHECK(false);
    } catch (const error& refused) {
        CHECK(refused.code() == ouro::errc::overloaded);
        CHECK(refused.how_far() == net::fate::unsent);
    }
    for (auto& each : waiting) {
        CHECK_FALSE(each.finished());
        each.cancel();
        static_cast<void>(co_await as_result(each));
    }
}

// Cancelling.

task<> ask_for_several(client& cache) {
    const std::optional<std::string> first = co_await cache.get("first");
    CHECK(first == "first's");
    co_await cache.set("a", std::string(3000, 'x'));
    const std::vector<std::string_view> keys{"x", "y", "z"};
    const auto several = co_await cache.get_multi(keys);
    CHECK(several[2] == "z's");
}

/// Several callers of one connection; the sweep cancels the one that waits for all.
task<> many_ask() {
    fake_server server(honestly);
    client cache = co_await client::connect(server.address());
    co_await with_scope([&](scope& callers) -> task<> {
        callers.spawn(ask_for_several, cache);
        callers.spawn(ask_for_several, cache);
        co_await ask_for_several(cache);
    });
    co_await cache.close();
}

TEST_CASE("callers can be cancelled at every suspension") {
    const sweep_report swept = cancel_everywhere_on_all(many_ask);
    CHECK_MESSAGE(swept.clean(), swept.complaints);
    CHECK(swept.points > 20);
}

OURO_TEST("cancelling every second of many callers leaves the others their own replies") {
    for (int turns = 0; turns < 12; ++turns) {
        fake_server server(honestly);
        client cache = co_await client::connect(server.address());
        std::vector<answer> all(16);
        std::vector<join_handle<void>> asking;
        for (std::size_t i = 0; i < all.size(); ++i) {
            all[i].key = "key" + std::to_string(i);
            asking.push_back(spawn(ask, std::ref(cache), std::ref(all[i])));
        }
        for (int i = 0; i < turns; ++i) co_await yield();
        for (std::size_t i = 0; i < all.size(); i += 2) asking[i].cancel();
        for (join_handle<void>& each : asking) static_cast<void>(co_await as_result(each));
        CHECK(right_ones(all) >= 8);
        for (std::size_t i = 1; i < all.size(); i += 2) CHECK(all[i].got);
        CHECK(server.connections() == 1);
        co_await cache.close();
    }
}

// The handshake.

task<std::error_code> refusal_of(std::string said, client_options options = {}) {
    fake_server server([&said](const heard_request&, fake_caller&) { return said; }, false);
    auto made = co_await as_result(client::connect(server.address(), options));
    co_return made.error();
}

OURO_TEST("who is no memcached, or does not want us, is found out before anything is asked") {
    CHECK(co_await refusal_of("HTTP/1.1 400 Bad Request\r\n\r\n") == errc::bad_reply);
    CHECK(co_await refusal_of("-ERR unknown command 'mg'\r\n") == errc::bad_reply);
    CHECK(co_await refusal_of("ERROR\r\n") == errc::unknown_command);
    CHECK(co_await refusal_of("EN\r\n") == errc::unsupported);
    CHECK(co_await refusal_of("CLIENT_ERROR unauthenticated\r\n") == errc::not_authenticated);
    CHECK(co_await refusal_of("ERROR Too many open connections\r\n") == errc::too_many_connections);
}

OURO_TEST("a server that takes connections and says nothing is given up in time") {
    fake_server server([](const heard_request&, fake_caller&) { return std::string(); }, false);
    auto made = co_await as_result(client::connect(server.address(), {.connect_timeout = 100ms}));
    CHECK(made.error() == ouro::errc::timed_out);
}

OURO_TEST("credentials are the first thing a server hears, on every connection") {
    fake_server server(
        [](const heard_request& asked, fake_caller& caller) {
            if (asked.key() == "end") caller.close = true;
            if (asked.verb() == "set")
                return std::string(asked.value == "me secret"
                                       ? "STORED\r\n"
                                       : "CLIENT_ERROR authentication failure\r\n");
            return honest(asked);
        },
        false);
    client cache = co_await client::connect(server.address(), {.user = "me", .password = "secret"});
    const std::optional<std::string> end = co_await cache.get("end");
    CHECK(end == "end's");
    co_await settle();
    const std::optional<std::string> got = co_await cache.get("a");
    CHECK(got == "a's");
    CHECK(server.connections() == 2);
    CHECK(server.heard()[0].verb() == "set");
    CHECK(server.heard()[3].verb() == "set");
    auto wrong =
        co_await as_result(client::connect(server.address(), {.user = "me", .password = "x"}));
    CHECK(wrong.error() == errc::not_authenticated);
}

// The end.

OURO_TEST("a client that dies ends what waits, and one that closes waits for its connections") {
    fake_server server([](const heard_request&, fake_caller&) { return std::string(); });
    auto cache = std::make_unique<client>(co_await client::connect(server.address()));
    auto waiting = spawn(cache->get("a"));
    co_await settle();
    co_await cache->close();
    auto ended = co_await as_result(waiting);
    CHECK(ended.error() == ouro::errc::closed);
    auto after = co_await as_result(cache->get("b"));
    CHECK(after.error() == ouro::errc::closed);
    cache.reset();
}

OURO_TEST("what a peer says back of a password is shown to nobody") {
    const std::vector<std::string> said = {"CLIENT_ERROR authentication failure of user sesame\r\n",
                                           "user sesame?\r\n", "ERROR\r\nsesame\r\n"};
    for (const std::string& words : said) {
        fake_server server([&words](const heard_request&, fake_caller&) { return words; }, false);
        client_options options;
        options.user = "user";
        options.password = "sesame";
        std::string shown;
        try {
            static_cast<void>(co_await client::connect(server.address(), options));
        } catch (const error& failure) {
            shown = failure.what() + failure.words();
        }
        CHECK(!shown.empty());
        CHECK(shown.find("sesame") == std::string::npos);
    }
}

}  // namespace
}  // namespace ouro::memcached

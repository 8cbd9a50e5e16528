// What a peer may send that it should not, in the clear and under the right keys.
#include "engines.hpp"
#include "forger.hpp"
#include "library_end.hpp"
#include <ouro/net/tls/engine.hpp>

#include <doctest/doctest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cerrno>
#include <string>

using namespace ouro;
using namespace ouro::net;
using namespace ouro::net::tls;

namespace {

const std::string& key_log() {
    static const std::string name = shared_tls_ca().file("hostile-keys.log");
    return name;
}

/// Without tickets, so that the next record of each side is its first.
const server_context& answers_without_tickets() {
    static const server_context made([] {
        server_options options = serving();
        options.tickets = false;
        options.protocol.ciphersuites = "TLS_AES_128_GCM_SHA256";
        options.protocol.key_log_file = key_log();
        return options;
    }());
    return made;
}
/// Two that have shaken hands, and somebody who writes in each one's place.
struct forged_pair {
    engine_pair ends = connected();
    forger as_client{last_secret("CLIENT_TRAFFIC_SECRET_0 "), 0};
    forger as_server{last_secret("SERVER_TRAFFIC_SECRET_0 "), 0};

private:
    static engine_pair connected() {
        engine_pair made(asks_anew(), answers_without_tickets());
        made.talk();
        REQUIRE(made.done());
        return made;
    }
    static std::string last_secret(const std::string& label) {
        const std::string log = tls_ca::read(key_log());
        const std::size_t line = log.rfind("\n" + label) + 1;
        const std::size_t begin = log.find(' ', line + label.size()) + 1;
        return log.substr(begin, log.find('\n', begin) - begin);
    }
};

constexpr unsigned alert_type = 21, handshake_type = 22, data_type = 23;

std::string clear_record(unsigned type, const std::string& body) {
    return big_endian(type, 1) + "\x03\x03" + big_endian(body.size(), 2) + body;
}

/// A fresh server that was sent these bytes, and has refused them.
half_of_pair refused(const std::string& bytes) {
    half_of_pair server(answers_without_tickets().make_engine());
    server.feed(bytes);
    CHECK(server->error());
    CHECK(!server->handshake_done());
    const std::error_code first = server->error();
    CHECK(server.step() == engine::progress::failed);
    CHECK(server->error() == first);
    return server;
}

}  // namespace

TEST_CASE("two messages in one record are two messages") {
    forged_pair made;
    half_of_pair& client = made.ends.client;
    client.feed(made.as_server.record(forged_ticket() + forged_ticket(), handshake_type));
    client.feed(made.as_server.record("data", data_type));
    CHECK(client.received() == "data");
    CHECK(!client->error());

    // What asks for an answer gets it with what is sent next.
    const std::string update = handshake_message(24, std::string(1, '\1'));
    client.feed(made.as_server.record(forged_ticket() + update, handshake_type));
    CHECK(!client->error());
    made.ends.server.feed(client.put("under new keys"));
    CHECK(made.ends.server.received() == "under new keys");
    made.ends.server.feed(client.put("and more"));
    CHECK(made.ends.server.received() == "and more");
}

TEST_CASE("a message over two records is one, and data between its parts is refused") {
    const std::string ticket = forged_ticket();
    forged_pair made;
    half_of_pair& client = made.ends.client;
    client.feed(made.as_server.record(ticket.substr(0, 9), handshake_type));
    CHECK(client.take_all() == -EAGAIN);
    client.feed(made.as_server.record(ticket.substr(9), handshake_type));
    client.feed(made.as_server.record("data", data_type));
    CHECK(client.received() == "data");
    client.feed(made.as_server.record(ticket.substr(0, 9), handshake_type));
    client.feed(made.as_server.record("data", data_type));
    CHECK(client.received().empty());
    CHECK(client->error() == tls::errc::alert_sent);
    CHECK(alert_name(client.why().alert) == std::string("unexpected_message"));
}

TEST_CASE("a flood of tickets, or of records with nothing in them, ends the connection") {
    forged_pair tickets;
    for (unsigned i = 0; i <= engine::quiet_messages_max && !tickets.ends.client.stuck(); ++i)
        tickets.ends.client.feed(tickets.as_server.record(forged_ticket(), handshake_type));
    CHECK(tickets.ends.client->error() == tls::errc::too_many_messages);

    forged_pair empty;
    for (int i = 0; i < 1000 && !empty.ends.server.stuck(); ++i)
        empty.ends.server.feed(empty.as_client.record("", data_type));
    CHECK(empty.ends.server->error());
    CHECK(empty.ends.server.take_all() == -EPROTO);
}

TEST_CASE("what may not come behind a handshake is refused, and told") {
    const std::string update = handshake_message(24, std::string(1, '\1'));
    const struct {
        std::string inner;
        unsigned type;
    } wrong[] = {
        {handshake_message(1, std::string(40, 'h')), handshake_type},   // another hello
        {handshake_message(20, std::string(32, 'f')), handshake_type},  // another end
        {handshake_message(24, std::string(1, '\7')), handshake_type},  // an update to nothing
        {handshake_message(24, ""), handshake_type},
        {update + forged_ticket(), handshake_type},  // under keys that are over
        {"x", 20},                                   // a cipher change
        {"x", 99},
        {"", 0},
        {std::string("\2\12", 2), alert_type},  // fatal
        {"\2", alert_type},
        {std::string(16 * 1024 + 1, 'x'), data_type},
    };
    for (const auto& each : wrong) {
        for (const bool to_server : {true, false}) {
            forged_pair made;
            half_of_pair& victim = to_server ? made.ends.server : made.ends.client;
            forger& by = to_server ? made.as_client : made.as_server;
            CAPTURE(each.type);
            CAPTURE(each.inner.size());
            victim.feed(by.record(each.inner, each.type));
            victim.feed(by.record("behind it", data_type));
            CHECK(victim.received().empty());
            CHECK(victim->error());
            CHECK(victim.take_all() == -EPROTO);
            CHECK(victim.why().alert != failure::no_alert);
            const bool told = victim->error() == tls::errc::alert_received;
            CHECK(victim.drain().empty() == told);
        }
    }
}

TEST_CASE("records that are too long are refused, and told") {
    const std::string much(17 * 1024, 'x');
    half_of_pair server = refused(clear_record(handshake_type, much));
    CHECK(server->error() == tls::errc::alert_sent);
    CHECK(!server.drain().empty());

    forged_pair made;
    made.ends.server.feed(clear_record(data_type, much));
    CHECK(made.ends.server->error() == tls::errc::alert_sent);
    CHECK(alert_name(made.ends.server.why().alert) == std::string("record_overflow"));
    made.ends.client.feed(made.ends.server.drain());
    CHECK(made.ends.client->error() == tls::errc::alert_received);
}

TEST_CASE("what comes in a hello's place is refused") {
    refused(clear_record(alert_type, std::string("\2\50", 2)));
    CHECK(refused(std::string("\x80\x2e\x01\x03\x01", 5))->error() == tls::errc::not_tls);  // SSL 2
    refused(clear_record(data_type, "data").replace(0, 1, "\x16"));
    refused(clear_record(handshake_type, handshake_message(20, std::string(12, 'f'))));
    refused(clear_record(handshake_type, handshake_message(1, std::string(200'000, 'h'))));
}

TEST_CASE("versions that are over are refused, and the client is told") {
    for (const int old : {TLS1_VERSION, TLS1_1_VERSION}) {
        library_end client({.version = old, .weak = true});
        half_of_pair server(answers_without_tickets().make_engine());
        server.feed(client.feed(""));
        CHECK(server->error() == tls::errc::nothing_in_common);
        CHECK(alert_name(server.why().alert) == std::string("protocol_version"));
        CHECK(!server.drain().empty());
    }
}

TEST_CASE("a server's choice that was not offered is refused") {
    client_options options = trusting();
    options.sessions_max = 0;
    options.alpn = {"h2", "http/1.1"};
    const client_context with(options);
    for (const char* chosen : {"h2", "h", "http/1.0"}) {
        library_end server({.side = side::server, .alpn = chosen});
        half_of_pair client(with.make_engine("localhost"));
        client.step();
        client.feed(server.feed(client.drain()));
        CAPTURE(chosen);
        if (chosen == std::string("h2")) {
            CHECK(client->handshake_done());
            CHECK(client->info().alpn == chosen);
        } else {
            CHECK(client->error());
            CHECK(!client->handshake_done());
        }
    }
}

TEST_CASE("each side may end first, and the other one talks on, with the library's own") {
    library_end server({.side = side::server});
    half_of_pair client(asks_anew().make_engine("localhost"));
    client.step();
    client.feed(server.feed(client.drain()));
    client.feed(server.feed(client.drain()));
    SSL_shutdown(server.library());
    client.feed(server.feed(""));
    CHECK(client.take_all() == 0);
    server.feed(client.put("still talking"));
    CHECK(server.clear == "still talking");
    server.feed(client.end());
    CHECK((SSL_get_shutdown(server.library()) & SSL_RECEIVED_SHUTDOWN) != 0);
}

TEST_CASE("what another has left in the thread's queue of errors harms nobody") {
    auto leave_something = [] { ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH); };
    engine_pair ends(asks_anew(), answers_without_tickets());
    auto flight = [&](half_of_pair& from, half_of_pair& to) {
        const std::string bytes = from.drain();
        const auto space = to->space();
        REQUIRE(bytes.size() <= space.size());
        std::copy_n(reinterpret_cast<const std::byte*>(bytes.data()), bytes.size(), space.begin());
        leave_something();
        to->received(bytes.size());
        to.step();
    };
    leave_something();
    ends.client.step();
    flight(ends.client, ends.server);
    flight(ends.server, ends.client);
    flight(ends.client, ends.server);
    REQUIRE(ends.done());
    leave_something();
    const std::string wire = ends.client.put("words");
    leave_something();
    ends.server.feed(wire);
    CHECK(ends.server.received() == "words");
    leave_something();
    CHECK(!ends.server->ready());
    ERR_clear_error();
}

TEST_CASE("one connection that is broken into leaves its neighbours alone") {
    engine_pair good(asks_anew(), answers_without_tickets()),
        bad(asks_anew(), answers_without_tickets());
    good.talk();
    bad.talk();
    for (int i = 0; i < 3; ++i) {
        bad.server.feed(clear_record(data_type, std::string(40, 'x')));
        good.server.feed(good.client.put("words"));
        CHECK(good.server.received() == "words");
        good.client.feed(good.server.put("more"));
        CHECK(good.client.received() == "more");
    }
    CHECK(bad.server->error());
    CHECK(!good.server->error());
}

#include <ouro/net/tls/engine.hpp>

#include "engines.hpp"
#include "library_end.hpp"
#include <ouro/net/tls/session_cache.hpp>
#include <ouro/runtime/testing/doctest.hpp>

#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>

using namespace ouro;
using namespace ouro::net;
using namespace ouro::net::tls;

namespace {

std::string text_of(std::size_t size) {
    std::string text;
    for (std::size_t i = 0; text.size() < size; ++i) text += "line " + std::to_string(i) + '\n';
    text.resize(size);
    return text;
}

/// Two that have shaken hands.
engine_pair connected(const client_context& client = asks_anew(),
                      const server_context& server = answers()) {
    engine_pair made(client, server);
    made.talk();
    REQUIRE(made.done());
    return made;
}

const client_context& asks_1_2() {
    static const client_context made([] {
        client_options options = asking_anew();
        options.protocol.max = tls::version::tls1_2;
        return options;
    }());
    return made;
}

/// The wire ends in mid-handshake.
void check_truncated(half_of_pair& at) {
    at.feed_end();
    CHECK(at->error() == tls::errc::truncated);
    CHECK(!at->handshake_done());
    CHECK(at.step() == engine::progress::failed);
}

void check_echo(engine_pair& ends, std::size_t size, std::size_t piece = SIZE_MAX) {
    const std::string there = text_of(size), back = text_of(size / 2 + 1);
    ends.server.feed(ends.client.put(there), piece);
    CHECK(ends.server.received() == there);
    ends.client.feed(ends.server.put(back), piece);
    CHECK(ends.client.received() == back);
}

/// Bytes go back and forth until both have nothing to say.
void talk(half_of_pair& client, library_end& server) {
    client.step();
    for (std::string out = client.drain(); !out.empty(); out = client.drain())
        client.feed(server.feed(out));
}

std::string date(std::int64_t seconds) {
    const std::time_t when = seconds;
    std::array<char, 32> text{};
    std::strftime(text.data(), text.size(), "%F %TZ", std::gmtime(&when));
    return text.data();
}

std::string dates_by_openssl(const std::string& certificate_file) {
    const std::string command =
        "openssl x509 -noout -dates -dateopt iso_8601 -in '" + certificate_file + "'";
    std::FILE* const said = ::popen(command.c_str(), "r");
    REQUIRE(said);
    std::array<char, 128> text{};
    const std::size_t size = std::fread(text.data(), 1, text.size(), said);
    ::pclose(said);
    return {text.data(), size};
}

/// Changes what would be the first data of a connection, so that the peer gives up.
std::string spoiled(half_of_pair& from) {
    std::string wire = from.put("some words");
    wire.back() = static_cast<char>(wire.back() ^ 1);
    return wire;
}

std::string put_gathered(half_of_pair& from, const std::vector<std::string>& parts) {
    std::vector<iovec> all;
    std::size_t total = 0;
    for (const std::string& each : parts) {
        all.push_back({const_cast<char*>(each.data()), each.size()});
        total += each.size();
    }
    CHECK(from->put(all) == static_cast<int>(total));
    return from.drain();
}

}  // namespace

TEST_CASE("what is put while a long ticket is on its way follows once it has come") {
    client_options options = asking_anew();
    options.certificate = shared_tls_ca().issue({.common_name = "long-ticket"});
    const client_context with(options);
    library_end server({.side = side::server, .record_bytes = 512});
    half_of_pair client(with.make_engine("localhost"));
    client.step();
    client.feed(server.feed(client.drain()));
    REQUIRE(client->handshake_done());
    const std::string ticket = server.feed(client.drain());
    REQUIRE(ticket.size() > 512);
    const std::size_t first =
        5 + static_cast<unsigned char>(ticket[3]) * 256U + static_cast<unsigned char>(ticket[4]);
    REQUIRE(first < ticket.size());

    client.feed(std::string_view(ticket).substr(0, first));
    CHECK(client.put("early ").empty());  // taken, and not yet encrypted
    CHECK(client.put("words").empty());
    client.feed(std::string_view(ticket).substr(first));
    server.feed(client.drain());
    CHECK(server.clear == "early words");
    server.feed(client.put(", later words"));
    CHECK(server.clear == "early words, later words");

    // A peer that leaves it unfinished gets no more than the limit.
    half_of_pair other(with.make_engine("localhost"));
    library_end stalls({.side = side::server, .record_bytes = 512});
    other.step();
    other.feed(stalls.feed(other.drain()));
    const std::string again = stalls.feed(other.drain());
    other.feed(std::string_view(again).substr(0, first));
    const std::string much(engine::held_back_max, 'x');
    const iovec one{const_cast<char*>(much.data()), much.size()};
    CHECK(other->put({&one, 1}) == static_cast<int>(much.size()));
    CHECK(other->put({&one, 1}) == -EPROTO);
    CHECK(other->error() == tls::errc::too_many_messages);
}

TEST_CASE("two engines shake hands and talk") {
    for (const client_context* each : {&asks_anew(), &asks_1_2()}) {
        engine_pair ends(*each, answers());
        CHECK(!ends.client->handshake_done());
        ends.talk();
        REQUIRE(ends.done());
        for (const std::size_t size : {1U, 64U, 16384U, 16385U, 200000U}) check_echo(ends, size);
        CHECK(!ends.client->error());
        CHECK(!ends.server->error());
    }
}

TEST_CASE("engines stand single bytes, and pieces of every small size") {
    for (const client_context* each : {&asks_anew(), &asks_1_2()}) {
        for (std::size_t piece = 1; piece <= 30; ++piece) {
            engine_pair ends(*each, answers());
            ends.talk(piece);
            REQUIRE(ends.done());
            check_echo(ends, 700, piece);
        }
    }
}

TEST_CASE("a handshake can be cut anywhere") {
    for (const client_context* each : {&asks_anew(), &asks_1_2()}) {
        std::size_t longest = 1;
        for (std::size_t cut = 1; cut < longest || cut == 1; ++cut) {
            engine_pair ends(*each, answers());
            longest = ends.talk_cut(cut);
            REQUIRE(ends.done());
            check_echo(ends, 10);
        }
        CHECK(longest > 500);
    }
}

TEST_CASE("records can be cut anywhere") {
    for (const client_context* each : {&asks_anew(), &asks_1_2()}) {
        engine_pair ends = connected(*each);
        const std::string text = text_of(300);
        for (std::size_t cut = 0; cut < 360; ++cut) {
            std::string wire = ends.client.put(text);
            wire += ends.client.put("!");
            ends.server.feed(wire.substr(0, cut));
            if (cut < wire.size()) ends.server.feed(wire.substr(cut));
            REQUIRE(ends.server.received() == text + "!");
        }
    }
}

TEST_CASE("what comes right behind a handshake is not lost") {
    engine_pair ends(asks_anew(), answers());
    ends.client.step();
    ends.server.feed(ends.client.drain());
    ends.client.feed(ends.server.drain());
    REQUIRE(ends.client->handshake_done());
    const std::string finished = ends.client.drain();
    ends.server.feed(finished + ends.client.put("early bird"));
    CHECK(ends.server.received() == "early bird");
}

TEST_CASE("one put is one record, of as many pieces as there are") {
    engine_pair ends = connected();
    const auto before = ends.client->records_sent();
    const std::vector<std::string> parts = {"header\r\n", "", "\r\n", text_of(5000), "end"};
    ends.server.feed(put_gathered(ends.client, parts));
    CHECK(ends.client->records_sent() - before == 1);
    CHECK(ends.server.received() == parts[0] + parts[2] + parts[3] + parts[4]);

    const std::string large = text_of(engine::put_bytes_max - 100);
    const std::vector<std::string> more = {std::string(60, 'a'), large, std::string(40, 'z')};
    ends.server.feed(put_gathered(ends.client, more));
    CHECK(ends.client->records_sent() - before == 5);
    CHECK(ends.server.received() == more[0] + large + more[2]);
}

TEST_CASE("a put takes no more than its limit") {
    engine_pair ends = connected();
    const std::string much = text_of(engine::put_bytes_max + 1);
    const iovec one{const_cast<char*>(much.data()), much.size()};
    CHECK(ends.client->put({&one, 1}) == static_cast<int>(engine::put_bytes_max));
}

TEST_CASE("each side ends by itself") {
    for (const client_context* each : {&asks_anew(), &asks_1_2()}) {
        engine_pair ends = connected(*each);
        std::string wire = ends.client.put("last words");
        wire += ends.client.end();
        ends.server.feed(wire);
        CHECK(ends.server.received() == "last words");
        CHECK(ends.server.take_all() == 0);
        CHECK(ends.server->ready());
        // The other direction goes on.
        ends.client.feed(ends.server.put("still here"));
        CHECK(ends.client.received() == "still here");
        CHECK(ends.client.take_all() == -EAGAIN);
        ends.client.feed(ends.server.end());
        CHECK(ends.client.take_all() == 0);
        CHECK(ends.client.feed_end() == 0);
        CHECK(!ends.client->error());
    }
}

TEST_CASE("an end of the wire anywhere else is a truncation") {
    engine_pair whole = connected();
    const std::size_t size = whole.client.put("some words").size();
    for (std::size_t cut = 0; cut <= size; ++cut) {
        engine_pair ends = connected();
        std::string wire = ends.client.put("some words");
        wire += ends.client.end();
        ends.server.feed(wire.substr(0, cut));
        CHECK(ends.server.feed_end() == -ECONNRESET);
        CHECK(ends.server->error() == tls::errc::truncated);
        CHECK(ends.server->error() == std::errc::connection_reset);
        CHECK(ends.server.take_all() == -ECONNRESET);
        CHECK(ends.server.received() == (cut == size ? "some words" : ""));
        CHECK(ends.server.drain().empty());  // nobody is there to be told
    }
}

TEST_CASE("a handshake that is cut off anywhere is a truncation") {
    for (const client_context* each : {&asks_anew(), &asks_1_2()}) {
        engine_pair whole(*each, answers());
        whole.client.step();
        const std::string hello = whole.client.drain();
        whole.server.feed(hello);
        const std::string flight = whole.server.drain();
        whole.client.feed(flight);
        const std::string finished = whole.client.drain();

        for (std::size_t cut = 0; cut < hello.size(); ++cut) {
            half_of_pair server(answers().make_engine());
            server.feed(std::string_view(hello).substr(0, cut));
            check_truncated(server);
        }
        for (std::size_t cut = 0; cut < flight.size(); cut += 7) {
            engine_pair ends(*each, answers());
            ends.client.step();
            ends.server.feed(ends.client.drain());
            const std::string wire =
                ends.server.drain();  // a signature may be shorter by some bytes
            ends.client.feed(wire.substr(0, std::min(cut, wire.size() - 1)));
            check_truncated(ends.client);
        }
        for (std::size_t cut = 0; cut < finished.size(); cut += 3) {
            engine_pair ends(*each, answers());
            ends.client.step();
            ends.server.feed(ends.client.drain());
            ends.client.feed(ends.server.drain());
            ends.server.feed(ends.client.drain().substr(0, cut));
            check_truncated(ends.server);
        }
    }
}

TEST_CASE("keys can be changed by both sides") {
    engine_pair ends = connected();
    for (int i = 0; i < 10; ++i) {
        for (half_of_pair* each : {&ends.client, &ends.server}) {
            CHECK((*each)->update_keys(i % 2 == 1));
            ends.talk();
            check_echo(ends, 100);
        }
    }
    CHECK(!connected(asks_1_2()).client->update_keys(true));
}

TEST_CASE("a flood of key updates ends the connection, and some do not") {
    for (const bool from_client : {true, false}) {
        engine_pair ends = connected();
        half_of_pair& floods = from_client ? ends.client : ends.server;
        half_of_pair& suffers = from_client ? ends.server : ends.client;
        suffers.feed(floods.put("behind the ticket"));
        CHECK(suffers.received() == "behind the ticket");
        for (unsigned i = 0; i < engine::quiet_messages_max; ++i) {
            CHECK(floods->update_keys(true));
            suffers.feed(floods.drain());
            CHECK(suffers->pending().size() < 200);  // it owes one answer, not one for each
        }
        suffers.feed(floods.put("data"));
        CHECK(suffers.received() == "data");
        CHECK(!suffers->error());
        for (unsigned i = 0; i <= engine::quiet_messages_max; ++i) {
            CHECK(floods->update_keys(false));
            suffers.feed(floods.drain());
        }
        CHECK(suffers->error() == tls::errc::too_many_messages);
        CHECK(suffers.take_all() == -EPROTO);
    }
}

TEST_CASE("plaintext where TLS was expected is told as that") {
    for (const std::string_view text :
         {std::string_view("GET / HTTP/1.1\r\n\r\n"), std::string_view("\x16GET"),
          std::string_view("+PONG\r\n"), std::string_view("\0\0\0\10\4\322\26\57", 8)}) {
        half_of_pair server(answers().make_engine());
        server.feed(text, 1);
        CHECK(server->error() == tls::errc::not_tls);
        CHECK(server.drain().empty());
        half_of_pair client(asks_anew().make_engine("localhost"));
        client.step();
        client.drain();
        client.feed(text);
        CHECK(client->error() == tls::errc::not_tls);
        CHECK(client.why().host == "localhost");
    }
}

TEST_CASE("a changed byte in a record is found, told and final") {
    engine_pair probe = connected();
    const std::size_t size = probe.client.put("some words").size();
    for (std::size_t at = 0; at < size; ++at) {
        engine_pair ends = connected();
        std::string wire = ends.client.put("some words");
        wire[at] = static_cast<char>(wire[at] ^ 0x55);
        wire += ends.client.put("more words");
        ends.server.feed(wire);
        ends.server.feed(std::string(20'000, '\0'));  // a length that was changed wants more
        CHECK(ends.server.received().empty());
        CHECK(ends.server->error());
        CHECK(ends.server.take_all() == -EPROTO);
        const std::string alert = ends.server.drain();
        CHECK(!alert.empty());
        CHECK(ends.server.why().alert != failure::no_alert);
        ends.client.feed(alert);
        CHECK(ends.client->error() == tls::errc::alert_received);
        CHECK(ends.client.why().alert == ends.server.why().alert);
    }
}

TEST_CASE("a record that is sent again is refused") {
    engine_pair ends = connected();
    const std::string wire = ends.client.put("once");
    ends.server.feed(wire);
    CHECK(ends.server.received() == "once");
    ends.server.feed(wire);
    CHECK(ends.server.received().empty());
    CHECK(ends.server->error() == tls::errc::alert_sent);
    CHECK(alert_name(ends.server.why().alert) == std::string("bad_record_mac"));
}

TEST_CASE("random bytes in place of a hello are refused") {
    std::uint32_t state = 12345;
    for (int i = 0; i < 300; ++i) {
        std::string bytes = "\x16\x03\x01";
        for (int n = 0; n < 400; ++n) {
            state = state * 1664525 + 1013904223;
            bytes += static_cast<char>(state >> 24);
        }
        half_of_pair server(answers().make_engine());
        server.feed(bytes);
        server.feed_end();
        CHECK(server->error());
        CHECK(!server->handshake_done());
    }
}

TEST_CASE("what is pending lies still while more comes behind it") {
    engine_pair ends = connected();
    const iovec one{const_cast<char*>("words"), 5};
    REQUIRE(ends.server->put({&one, 1}) == 5);
    const auto before = ends.server->pending();
    const std::string bytes(reinterpret_cast<const char*>(before.data()), before.size());
    std::string wire = ends.client.put("x");
    wire.back() = static_cast<char>(wire.back() ^ 1);
    ends.server.feed(wire);  // an alert is due
    CHECK(ends.server->pending().data() == before.data());
    CHECK(ends.server->pending().size() == before.size());
    const std::string all = ends.server.drain();
    CHECK(all.starts_with(bytes));
    CHECK(all.size() > bytes.size());
    ends.client.feed(all);
    CHECK(ends.client.received() == "words");
    CHECK(ends.client->error() == tls::errc::alert_received);
}

TEST_CASE("both sides derive the same, and know the same certificate") {
    engine_pair ends = connected();
    std::array<std::byte, 32> a{}, b{};
    CHECK(ends.client->export_key("EXPORTER-Channel-Binding", "", a));
    CHECK(ends.server->export_key("EXPORTER-Channel-Binding", "", b));
    CHECK(a == b);
    CHECK(a != std::array<std::byte, 32>{});
    CHECK(ends.client->server_end_point().size() == 32);
    CHECK(ends.client->server_end_point() == ends.server->server_end_point());
    CHECK(!ends.server->peer_certificate());

    const auto shown = ends.client->peer_certificate();
    REQUIRE(shown);
    CHECK(shown->subject == "CN=localhost");
    CHECK(shown->issuer == "CN=Test CA");
    CHECK(shown->names == std::vector<std::string>{"localhost", "*.wild.test", "127.0.0.1"});
    CHECK("notBefore=" + date(shown->valid_from) + "\nnotAfter=" + date(shown->valid_until) +
              "\n" ==
          dates_by_openssl(localhost_identity().certificate_file));
    CHECK(shown->fingerprint_text().size() == 32 * 3 - 1);
    CHECK(shown->der.size() > 200);
}

TEST_CASE("what was agreed on can be asked") {
    engine_pair ends = connected();
    for (engine* each : {&*ends.client, &*ends.server}) {
        const tls::info about = each->info();
        CHECK(about.version == tls::version::tls1_3);
        CHECK(about.cipher.starts_with("TLS_"));
        CHECK(about.alpn.empty());
        CHECK(about.server_name == "localhost");
        CHECK(!about.resumed);
    }
    CHECK(connected(asks_1_2()).server->info().version == tls::version::tls1_2);
}

TEST_CASE("a renegotiation is refused, and the connection goes on") {
    library_end client({.version = TLS1_2_VERSION});
    half_of_pair server(answers().make_engine());
    for (std::string out = client.feed(""); !out.empty(); out = client.feed(server.drain()))
        server.feed(out);
    REQUIRE(server->handshake_done());
    SSL_renegotiate(client.library());
    server.feed(client.feed(""));
    CHECK(!server->error());
    CHECK(!server.drain().empty());  // no_renegotiation, a warning
    CHECK(server.put("still here").size() > 10);
}

TEST_CASE("a hello in records of one byte is understood") {
    engine_pair ends(asks_anew(), answers());
    ends.client.step();
    const std::string hello = ends.client.drain();
    std::string cut;
    for (const char each : hello.substr(5)) {
        cut += hello.substr(0, 3);
        cut += '\0';
        cut += '\1';
        cut += each;
    }
    ends.server.feed(cut);
    ends.client.feed(ends.server.drain());
    ends.talk();
    CHECK(ends.done());
    check_echo(ends, 100);
}

TEST_CASE("empty records and warnings in a flood are refused") {
    for (const std::string& record :
         {std::string("\x16\3\3\0\0", 5), std::string("\x15\3\3\0\2\1\x5a", 7)}) {
        half_of_pair server(answers().make_engine());
        std::string flood;
        for (int i = 0; i < 1000; ++i) flood += record;
        server.feed(flood);
        CHECK(server->error());
    }
}

TEST_CASE("an alert is said once") {
    server_options strict = serving();
    strict.client_ca_file = shared_tls_ca().ca_file();
    strict.client_certificates = client_certificates::required;
    engine_pair ends(asks_anew(), server_context(strict));
    ends.talk();
    CHECK(ends.client.why().text() == "the peer sent an alert: certificate_required (116)");
    CHECK(ends.client.why().details() == "certificate_required (116)");
    CHECK(ends.client.why().reason.empty());

    server_options other = serving();
    other.alpn = {"other"};
    client_options one = asking_anew();
    one.alpn = {"one"};
    const client_context asks(one);
    engine_pair strangers(asks, server_context(other));
    strangers.talk();
    CHECK(strangers.client.why().text() ==
          "no application protocol in common, alert: no_application_protocol (120)");
    CHECK(strangers.client.why().details() == "alert: no_application_protocol (120)");
}

TEST_CASE("a server that answers a session with an alert gets whole handshakes from then on") {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        CAPTURE(version);
        const client_context asks(trusting());
        for (const bool offers : {false, true, false, false}) {
            library_end server({.side = side::server, .version = version, .resumes = false});
            half_of_pair client(asks.make_engine("localhost", 443));
            talk(client, server);
            CHECK(client->handshake_done() != offers);
            if (!offers) continue;
            CHECK(client->error() == tls::errc::alert_received);
            CHECK(client.why().resuming);
            CHECK(client.why().text() ==
                  "the peer sent an alert: internal_error (80), when a session was to be resumed");
            // Others are not concerned.
            for (const bool again : {false, true}) {
                library_end good({.side = side::server, .version = version});
                half_of_pair elsewhere(asks.make_engine("localhost", 444));
                talk(elsewhere, good);
                REQUIRE(elsewhere->handshake_done());
                CHECK(elsewhere->info().resumed == again);
            }
        }
    }
}

TEST_CASE("a fatal alert right behind a resumed handshake has the session forgotten, a later not") {
    for (const bool from_server : {true, false}) {
        for (const bool later : {true, false}) {
            CAPTURE(from_server);
            CAPTURE(later);
            client_options options = trusting();
            options.protocol.max = tls::version::tls1_2;  // a session of it is used again and again
            const client_context asks(options);
            connected(asks);
            engine_pair ends = connected(asks);
            REQUIRE(ends.client->info().resumed);
            if (later) check_echo(ends, 10);
            if (from_server)
                ends.server.feed(spoiled(ends.client));
            else
                ends.client.feed(spoiled(ends.server));
            ends.talk();
            CHECK(ends.client->error());
            CHECK(ends.client.why().resuming != later);
            CHECK(asks.stats().sessions == (later ? 1 : 0));
            CHECK(connected(asks).client->info().resumed == later);
        }
    }
}

TEST_CASE("a server that has refused a session is given another chance") {
    const auto make_session = [] {
        held<SSL_SESSION> made(SSL_SESSION_new());
        const unsigned char id = 1;
        SSL_SESSION_set1_id(made.get(), &id, 1);
        SSL_SESSION_set_protocol_version(made.get(), TLS1_2_VERSION);
        return made;
    };
    session_cache sessions;
    sessions.set_limit(2);
    sessions.put("a", make_session());
    CHECK(sessions.take("a"));
    const std::time_t now = std::time(nullptr);
    sessions.refuse("a", now);
    sessions.put("a", make_session());
    CHECK(!sessions.take("a"));
    CHECK(sessions.size() == 0);
    sessions.refuse("a", now - session_cache::refusal_lasts);
    sessions.put("a", make_session());
    CHECK(sessions.take("a"));
    CHECK(sessions.size() == 1);
    // Who refuses has a place like any other, up to the limit.
    sessions.refuse("b", now);
    sessions.refuse("c", now);
    CHECK(!sessions.take("a"));
}

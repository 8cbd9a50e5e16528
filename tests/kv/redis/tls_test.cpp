// Redis under TLS: every door, and what becomes of whoever is not to be trusted.
#include <ouro/tests/kv/tls.hpp>

#include <ouro/kv/redis/cache.hpp>
#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/pubsub/pubsub.hpp>
#include <ouro/kv/redis/scan.hpp>
#include <ouro/kv/redis/testing/said.hpp>
#include <ouro/kv/redis/watch.hpp>
#include <ouro/net/listener.hpp>
#include <ouro/net/tls/handshake.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/timeout.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/redis/real_client.hpp>

#include <sys/socket.h>

#include <array>
#include <set>
#include <string>
#include <utility>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::client;

namespace {

redis_server& shared_server() {
    static redis_server server({.tls = tls_files()});
    return server;
}

redis::client_options with(const net::tls::client_context& context,
                           std::string_view server_name = {}) {
    redis::client_options made;
    made.link.tls = under(context, server_name);
    return made;
}

/// How connecting to a server fails, in all its words.
task<failure> refusal(std::string url, redis::client_options options) {
    co_return co_await failure_of(client::connect(std::move(url), options));
}

bool contains(const std::string& text, std::string_view part) {
    return text.find(part) != text.npos;
}

// Doors.

OURO_TEST_REAL("commands, pipelines, transactions and walks go over TLS") {
    client db = co_await client::connect(tls_url_of(shared_server()), with(trusting()));
    const net::tls::session* const how = db.sessions().front()->security();
    REQUIRE(how != nullptr);
    CHECK(how->info().version == net::tls::version::tls1_3);
    co_await db.flushall();
    co_await db.set("a", "1");
    CHECK(co_await db.get("a") == "1");
    auto some = db.pipeline();
    for (int n = 0; n < 1000; ++n) some.set("key:" + std::to_string(n), std::to_string(n));
    co_await some.exec();
    const std::string large(300'000, 'x');  // many records
    co_await db.set("large", large);
    const std::optional<std::string> back = co_await db.get("large");
    CHECK(back == large);
    auto both = db.transaction();
    auto first = both.incr("a");
    auto second = both.get("key:7");
    co_await both.exec();
    CHECK(first.get() == 2);
    CHECK(second.get() == "7");
    std::set<std::string> walked;
    auto walk = redis::scan(db, {.match = "key:*"});
    while (auto key = co_await walk.next()) walked.insert(*key);
    CHECK(walked.size() == 1000);
    co_await db.close();
}

task<> push_item(client& db) { co_await db.lpush("list", "item"); }

OURO_TEST_REAL("leased connections, blocking commands and watches go over TLS") {
    client db = co_await client::connect(tls_url_of(shared_server()), with(trusting()));
    co_await db.flushall();
    {
        auto mine = co_await db.lease();
        REQUIRE(mine->session().security() != nullptr);
        co_await mine->set("k", "1");
        CHECK(co_await mine->get("k") == "1");
    }
    auto pushing = spawn(push_item, std::ref(db));
    const auto popped = co_await db.blpop("list", 5s);
    REQUIRE(popped);
    CHECK(popped->value == "item");
    co_await pushing;
    auto add_one = [](redis::connection& mine, redis::transaction& tx) -> task<> {
        const std::optional<int> now = co_await mine.get<int>("k");
        tx.set("k", now.value_or(0) + 1);
    };
    co_await redis::with_watch(db, "k", add_one);
    CHECK(co_await db.get("k") == "2");
    co_await db.close();
}

OURO_TEST_REAL("subscribers hear over TLS, on shared connections and on their own") {
    client db = co_await client::connect(tls_url_of(shared_server()), with(trusting()));
    redis::subscriber sub = db.subscriber();
    co_await sub.subscribe("news");
    redis::pubsub_options how;
    how.link.tls = under(trusting());
    how.link.protocol = 2;
    redis::subscriber own =
        co_await redis::subscriber::connect(tls_url_of(shared_server()), {}, how);
    co_await own.psubscribe("new*");
    CHECK(co_await db.publish("news", "hello") == 2);
    for (redis::subscriber* const each : {&sub, &own}) {
        const std::optional<redis::message> got = co_await timeout(10s, each->next());
        REQUIRE(got);
        CHECK(got->payload() == "hello");
    }
    co_await own.close();
    co_await sub.close();
    co_await db.close();
}

OURO_TEST_REAL("a cache is told over TLS when a key changes") {
    client db = co_await client::connect(tls_url_of(shared_server()), with(trusting()));
    redis::cache near = co_await redis::cache::on(db);
    co_await db.set("cached", "1");
    for (int n = 0; n < 3; ++n) CHECK(co_await near.get("cached") == "1");
    CHECK(near.figures().hits == 2);
    shared_server().call({"SET", "cached", "2"});
    std::optional<std::string> seen;
    while (seen != "2") seen = co_await near.get("cached");
    co_await near.close();
    co_await db.close();
}

// Whom it trusts.

OURO_TEST_REAL("valkeys: is rediss:, and an option asks for TLS where the URL does not") {
    const std::string at = shared_server().peer_address();
    for (const std::string& url : {"valkeys://" + at, "REDISS://" + at, at}) {
        client db = co_await client::connect(url, with(trusting()));
        CHECK(db.sessions().front()->security() != nullptr);
        co_await db.close();
    }
    client clear = co_await client::connect(url_of(shared_server()));
    CHECK(clear.sessions().front()->security() == nullptr);
    co_await clear.close();
}

OURO_TEST_REAL("a server that the system does not trust is refused, and why is told") {
    const failure told = co_await refusal(tls_url_of(shared_server()), {});
    CHECK(told.code == net::tls::errc::certificate);
    CHECK(told.code == std::errc::permission_denied);
    CHECK(told.how_far == net::fate::unsent);
    CHECK_MESSAGE(contains(told.words, "certificate of 127.0.0.1: "), told.words);
    const bool says_whose =
        contains(told.words, "self_signed") || contains(told.words, "unknown_issuer");
    CHECK_MESSAGE(says_whose, told.words);
}

OURO_TEST_REAL("the certificate must be for the host, or for the name that was given") {
    const std::string url = tls_url_of(shared_server());
    const failure told = co_await refusal(url, with(trusting(), "other.test"));
    CHECK(told.code == net::tls::errc::certificate);
    CHECK_MESSAGE(contains(told.words, "certificate of other.test: wrong_host"), told.words);
    CHECK_MESSAGE(contains(told.words, "db.test"), told.words);
    client db = co_await client::connect(url, with(trusting(), "db.test"));
    CHECK(db.sessions().front()->security()->info().server_name == "db.test");
    co_await db.close();
}

OURO_TEST_REAL("a certificate that is over is refused") {
    static const net::tls::identity expired = shared_tls_ca().issue(
        {.common_name = "expired", .names = {"IP:127.0.0.1"}, .expired = true});
    redis_server server({.tls = tls_files(expired)});
    const failure told = co_await refusal(tls_url_of(server), with(trusting()));
    CHECK(told.code == net::tls::errc::certificate);
    CHECK_MESSAGE(contains(told.words, "expired"), told.words);
}

OURO_TEST_REAL("a server that asks for a certificate gets ours, and refuses those without") {
    server_tls files = tls_files();
    files.asks_clients = true;
    redis_server server({.tls = files});
    const failure told = co_await refusal(tls_url_of(server), with(trusting()));
    CHECK(told.code == net::tls::errc::alert_received);
    CHECK_MESSAGE(contains(told.words, "certificate_required"), told.words);
    client db = co_await client::connect(tls_url_of(server), with(known_client()));
    co_await db.ping();
    {
        auto mine = co_await db.lease();
        co_await mine->ping();
    }
    co_await db.close();
}

OURO_TEST_REAL("who waits for a connection is told at once that its certificate is refused") {
    net::tls::client_context trust(trusting_options());
    client db = co_await client::connect(tls_url_of(shared_server()), with(trust));
    static const tls_ca stranger("Stranger");
    net::tls::client_options others;
    others.ca_file = stranger.ca_file();
    trust.reload(others);
    CHECK(co_await db.get("nothing") == std::nullopt);  // what is there goes on
    const std::string killed = shared_server().call({"CLIENT", "KILL", "TYPE", "normal"});
    CHECK(killed != "0");
    failure told;
    const time_point begin = clock::exact_now();
    while (!told.code) told = co_await failure_of(db.set("k", "v"));
    while (told.code != net::tls::errc::certificate && clock::exact_now() < begin + 2s)
        told = co_await failure_of(db.set("k", "v"));
    CHECK(told.code == net::tls::errc::certificate);
    trust.reload(trusting_options());
    while (told.code && clock::exact_now() < begin + 20s)
        told = co_await failure_of(db.set("k", "v"));
    CHECK(!told.code);
    co_await db.close();
}

// Outages.

OURO_TEST_REAL("a connection under TLS is made again when its server comes back") {
    redis_server server({.tls = tls_files()});
    client db = co_await client::connect(tls_url_of(server), with(trusting()));
    co_await db.set("k", "1");
    server.kill();
    server.restart();
    CHECK(co_await db.get("k") == std::nullopt);  // it forgets
    co_await db.set("k", "2");
    CHECK(co_await db.get("k") == "2");
    CHECK(db.sessions().front()->security() != nullptr);
    co_await db.close();
}

// The other protocol.

OURO_TEST_REAL("who speaks in the clear to a port for TLS is told what it may be") {
    const failure told = co_await refusal("redis://" + shared_server().peer_address(), {});
    CHECK(told.code);
    CHECK_MESSAGE(contains(told.words, "rediss://"), told.words);
}

OURO_TEST_REAL("who speaks TLS to a port that does not is told in what it failed") {
    redis::client_options how = with(trusting());
    how.connect_timeout = 2s;
    const failure told = co_await refusal("rediss://" + shared_server().address(), how);
    CHECK(told.code == errc::timed_out);  // that server waits for the end of a line
    CHECK_MESSAGE(contains(told.words, "TLS handshake with 127.0.0.1"), told.words);
}

/// Answers whatever comes first with these bytes.
task<> answer_once(net::listener& at, std::string answer) {
    net::stream client = co_await at.accept();
    std::array<std::byte, 1024> space;
    co_await client.recv(space);
    co_await client.send_all(answer);
    while (co_await client.recv(space) > 0) continue;
}

task<failure> answered_with(std::string answer, std::string scheme) {
    net::listener at(net::endpoint("127.0.0.1:0"));
    auto answering = spawn(answer_once, std::ref(at), answer);
    redis::client_options how;
    how.link.tls.on = scheme == "rediss";
    if (how.link.tls.on) how.link.tls = under(trusting());
    const std::string url = scheme + "://" + at.local().to_string();
    const failure told = co_await refusal(url, how);
    answering.cancel();
    static_cast<void>(co_await as_result(answering));
    co_return told;
}

OURO_TEST_IO("an alert in answer to what was clear is a server under TLS") {
    const failure told = co_await answered_with("\x15\x03\x01\x00\x02\x02\x46", "redis");
    CHECK(told.code == redis::errc::protocol_error);
    CHECK_MESSAGE(contains(told.words, "rediss://"), told.words);
}

OURO_TEST_IO("an answer in the clear to a handshake is no server under TLS") {
    const failure told = co_await answered_with("-ERR unknown command\r\n", "rediss");
    CHECK(told.code == net::tls::errc::not_tls);
}

OURO_TEST("a server that is silent in the handshake ends with the time for connecting") {
    net::listener at(net::endpoint("127.0.0.1:0"));
    redis::client_options how = with(trusting());
    how.connect_timeout = 2s;
    const time_point begin = clock::now();
    const failure told = co_await refusal("rediss://" + at.local().to_string(), how);
    CHECK(told.code == errc::timed_out);
    CHECK(clock::now() - begin < 2100ms);
    CHECK_MESSAGE(contains(told.words, "TLS handshake with 127.0.0.1"), told.words);
}

struct fussy_server {
    net::listener at{net::endpoint("127.0.0.1:0")};
    net::tls::server_context secrets{{.identities = {server_identity()}}};
    int whole = 0, resumed = 0;  // handshakes
};

/// Answers as Redis does; but behind a handshake that was resumed comes what is no record.
task<> talk_to(fussy_server& of, net::stream wire) {
    net::tls::secured client = co_await net::tls_accept(std::move(wire), of.secrets);
    if (client.session.info().resumed) {
        ++of.resumed;
        const std::string nonsense =
            "\x17\x03\x03" + std::string(1, '\0') + "\x20" + std::string(32, '?');
        CHECK(::send(client.stream.fd(), nonsense.data(), nonsense.size(), MSG_NOSIGNAL) > 0);
    } else {
        ++of.whole;
    }
    net::reader in(client.stream);
    for (words_said said = co_await read_command(in); !said.empty();
         said = co_await read_command(in)) {
        const std::string_view answer = said[0] == "HELLO" ? "-ERR unknown command\r\n" : "+OK\r\n";
        const auto sent = co_await as_result(client.stream.send_all(answer));
        if (!sent) break;  // it has gone, as it should
    }
}

task<> serve_fussily(fussy_server& of) {
    auto accepting = [&](scope& clients) -> task<> {
        for (;;) {
            net::stream wire = co_await of.at.accept();
            clients.spawn(talk_to, std::ref(of), std::move(wire));
        }
    };
    co_await with_scope(accepting);
}

OURO_TEST_REAL("a server that breaks behind a resumed handshake gets a whole one at once") {
    fussy_server server;
    auto serving = spawn(serve_fussily, std::ref(server));
    const net::tls::client_context own(trusting_options());
    const std::string url = "rediss://" + server.at.local().to_string();
    for (int times = 0; times < 4; ++times) {
        client db = co_await client::connect(url, with(own));
        co_await db.set("k", "v");
        co_await db.close();
    }
    CHECK(server.whole == 4);
    CHECK(server.resumed == 1);  // which nobody was told of
    serving.cancel();
    static_cast<void>(co_await as_result(serving));
}

OURO_TEST_REAL("a socket in the file system has no host, so its server needs a name") {
    redis::client_options how;
    how.link.tls = under(trusting());
    how.connect_timeout = 1s;
    net::listener at(net::endpoint("unix:@ouro-redis-tls"));
    const failure told = co_await refusal("unix:@ouro-redis-tls", how);
    CHECK(told.code == net::tls::errc::bad_option);
}

}  // namespace

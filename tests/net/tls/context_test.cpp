#include <ouro/net/tls/context.hpp>

#include "engines.hpp"
#include "library_end.hpp"
#include <ouro/runtime/testing/doctest.hpp>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <string>

using namespace ouro;
using namespace ouro::net;
using namespace ouro::net::tls;

namespace {

/// Has them try, and tells what the client finds.
engine_pair tried(const client_options& client, const server_options& server,
                  std::string_view host = "localhost") {
    const client_context asks(client);
    const server_context with(server);
    engine_pair made(asks, with, host);
    made.talk();
    return made;
}

/// The client's failure about a certificate.
failure refused(const tls_certificate& shown, std::string_view host,
                const client_options& client = trusting()) {
    server_options server = serving(shared_tls_ca().issue(shown));
    server.refuse_expired = false;
    engine_pair ends = tried(client, server, host);
    REQUIRE(ends.client->error() == tls::errc::certificate);
    CHECK(ends.server->error() == tls::errc::alert_received);
    CHECK(ends.server.why().alert == ends.client.why().alert);
    return ends.client.why();
}

/// What a client says to a server of the library's own, which shows whatever it is given.
failure refused_from_library(const identity& shown, std::string_view host) {
    const client_context asks(trusting());
    library_end server({.side = side::server, .who = shown, .weak = true});
    half_of_pair client(asks.make_engine(host));
    client.step();
    client.feed(server.feed(client.drain()));
    REQUIRE(client->error() == tls::errc::certificate);
    CHECK(!client.drain().empty());
    return client.why();
}

bool trusted(const tls_certificate& shown, std::string_view host) {
    const server_options server = serving(shared_tls_ca().issue(shown));
    return tried(trusting(), server, host).done();
}

/// The certificate with other contents, signed anew by the authority, or as it was.
template <class Change>
identity changed(const identity& from, bool sign, Change change) {
    const auto in = hold(BIO_new_file(from.certificate_file.c_str(), "r"));
    const auto leaf = hold(PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr));
    change(*leaf);
    const auto key_in = hold(BIO_new_file(shared_tls_ca().file("ca.key").c_str(), "r"));
    const auto key = hold(PEM_read_bio_PrivateKey(key_in.get(), nullptr, nullptr, nullptr));
    if (sign) REQUIRE(X509_sign(leaf.get(), key.get(), EVP_sha256()) > 0);
    identity made = from;
    made.certificate_file += ".changed";
    const auto out = hold(BIO_new_file(made.certificate_file.c_str(), "w"));
    REQUIRE(PEM_write_bio_X509(out.get(), leaf.get()) == 1);
    return made;
}

/// Why a server's context cannot be made.
failure cannot(const server_options& options) {
    try {
        const server_context made(options);
    } catch (const tls::error& problem) {
        CHECK(std::string(problem.what()) == problem.why().text());
        CHECK(ERR_peek_error() == 0);
        return problem.why();
    }
    FAIL("it was made");
    return {};
}

bool resumes(const client_context& asks, const server_context& with, unsigned worker = 0,
             std::string_view host = "localhost") {
    engine_pair ends(asks, with, host, worker);
    ends.talk();
    REQUIRE(ends.done());
    CHECK(ends.client->info().resumed == ends.server->info().resumed);
    return ends.client->info().resumed;
}

}  // namespace

TEST_CASE("certificates that are right are trusted") {
    CHECK(trusted({.common_name = "good-dns", .names = {"DNS:good.test"}}, "good.test"));
    CHECK(trusted({.common_name = "good-case", .names = {"DNS:Good.test"}}, "gOOD.test."));
    CHECK(trusted({.common_name = "good-wild", .names = {"DNS:*.good.test"}}, "a.good.test"));
    CHECK(trusted({.common_name = "good-ip", .names = {"IP:127.0.0.1"}}, "127.0.0.1"));
    CHECK(trusted({.common_name = "good-ip6", .names = {"IP:::1"}}, "[::1]"));
    CHECK(trusted({.common_name = "good-ed", .names = {"DNS:good.test"}, .key = "ed25519"},
                  "good.test"));
    CHECK(trusted({.common_name = "good-rsa", .names = {"DNS:good.test"}, .key = "rsa:2048"},
                  "good.test"));
    tls_certificate many{.common_name = "good-many"};
    for (int i = 0; i < 150; ++i) many.names.push_back("DNS:n" + std::to_string(i) + ".test");
    CHECK(trusted(many, "n149.test"));
}

TEST_CASE("certificates that are wrong are refused, and it is said why") {
    failure why =
        refused({.common_name = "bad-old", .names = {"DNS:bad.test"}, .expired = true}, "bad.test");
    CHECK(why.fault == certificate_fault::expired);
    CHECK(why.depth == 0);
    CHECK(alert_name(why.alert) == std::string("certificate_expired"));

    why = refused({.common_name = "bad-host", .names = {"DNS:other.test", "IP:10.0.0.1"}},
                  "bad.test");
    CHECK(why.fault == certificate_fault::wrong_host);
    CHECK(why.host == "bad.test");
    CHECK(why.names == std::vector<std::string>{"other.test", "10.0.0.1"});
    CHECK(
        why.text().starts_with("certificate of bad.test: wrong_host (hostname mismatch), it is "
                               "for other.test, 10.0.0.1"));

    why = refused({.common_name = "bad-self", .names = {"DNS:bad.test"}, .self_signed = true},
                  "bad.test");
    CHECK(why.fault == certificate_fault::self_signed);

    why = refused({.common_name = "bad.test"}, "bad.test");  // the CN is nobody's name
    CHECK(why.fault == certificate_fault::wrong_host);
    why = refused({.common_name = "bad-ip", .names = {"IP:127.0.0.2"}}, "127.0.0.1");
    CHECK(why.fault == certificate_fault::wrong_host);
    why = refused({.common_name = "bad-ip-as-name", .names = {"DNS:127.0.0.1"}}, "127.0.0.1");
    CHECK(why.fault == certificate_fault::wrong_host);
    why = refused({.common_name = "bad-wild", .names = {"DNS:*.bad.test"}}, "a.b.bad.test");
    CHECK(why.fault == certificate_fault::wrong_host);
    why = refused({.common_name = "bad-part", .names = {"DNS:a*.bad.test"}}, "ab.bad.test");
    CHECK(why.fault == certificate_fault::wrong_host);

    const tls_ca stranger("Stranger");
    why = refused({.common_name = "bad-ca", .names = {"DNS:bad.test"}}, "bad.test",
                  trusting(stranger.ca_file()));
    CHECK(why.fault == certificate_fault::unknown_issuer);
}

TEST_CASE("certificates that are too early, too weak or for something else are refused") {
    const tls_ca& ca = shared_tls_ca();
    const identity good = ca.issue({.common_name = "changed", .names = {"DNS:bad.test"}});
    const identity early = changed(
        good, true, [](X509& each) { X509_gmtime_adj(X509_getm_notBefore(&each), 24L * 3600); });
    CHECK(refused_from_library(early, "bad.test").fault == certificate_fault::not_yet_valid);
    CHECK(cannot(serving(early)).what == tls::errc::certificate_expired);
    const identity broken = changed(good, false, [](X509& each) {
        const ASN1_BIT_STRING* signature = nullptr;
        X509_get0_signature(&signature, nullptr, &each);
        const_cast<ASN1_BIT_STRING*>(signature)->data[20] ^= 1;
    });
    CHECK(refused_from_library(broken, "bad.test").fault == certificate_fault::bad_signature);

    const tls_certificate client_only{
        .common_name = "bad-use", .names = {"DNS:bad.test"}, .usage = "clientAuth"};
    CHECK(refused(client_only, "bad.test").fault == certificate_fault::bad_purpose);
    const tls_certificate short_key{
        .common_name = "bad-short", .names = {"DNS:bad.test"}, .key = "rsa:1024"};
    CHECK(refused_from_library(ca.issue(short_key), "bad.test").fault == certificate_fault::weak);
    const tls_certificate old_digest{
        .common_name = "bad-digest", .names = {"DNS:bad.test"}, .digest = "sha1"};
    CHECK(refused_from_library(ca.issue(old_digest), "bad.test").fault == certificate_fault::weak);
}

TEST_CASE("a chain is followed as far as it goes, and blamed where it breaks") {
    const tls_ca& ca = shared_tls_ca();
    std::string chain, issuer;
    for (int i = 0; i < 12; ++i) {
        const std::string name = "link-" + std::to_string(i);
        const identity link = ca.issue({.common_name = name, .authority = true, .issuer = issuer});
        chain = tls_ca::read(link.certificate_file) + chain;
        issuer = name;
    }
    identity leaf = ca.issue({.common_name = "far", .names = {"DNS:far.test"}, .issuer = issuer});
    const std::string own = tls_ca::read(leaf.certificate_file);
    leaf.certificate_file = ca.write("far-whole.pem", own + chain);
    CHECK(tried(trusting(), serving(leaf), "far.test").done());

    leaf.certificate_file = ca.write("far-alone.pem", own);
    engine_pair alone = tried(trusting(), serving(leaf), "far.test");
    CHECK(alone.client.why().fault == certificate_fault::unknown_issuer);
    CHECK(alone.client.why().depth == 0);

    ca.issue({.common_name = "old-link", .expired = true, .authority = true});
    identity below =
        ca.issue({.common_name = "below-old", .names = {"DNS:far.test"}, .issuer = "old-link"});
    below.certificate_file = ca.write(
        "below.pem", tls_ca::read(below.certificate_file) + tls_ca::read(ca.file("old-link.pem")));
    engine_pair old = tried(trusting(), serving(below), "far.test");
    CHECK(old.client.why().fault == certificate_fault::expired);
    CHECK(old.client.why().depth == 1);

    ca.issue({.common_name = "no-authority", .names = {"DNS:far.test"}});
    identity forged =
        ca.issue({.common_name = "forged", .names = {"DNS:far.test"}, .issuer = "no-authority"});
    forged.certificate_file = ca.write("forged.pem", tls_ca::read(forged.certificate_file) +
                                                         tls_ca::read(ca.file("no-authority.pem")));
    engine_pair signed_by_nobody = tried(trusting(), serving(forged), "far.test");
    CHECK(signed_by_nobody.client.why().fault == certificate_fault::bad_purpose);
    CHECK(signed_by_nobody.client.why().depth == 1);
}

TEST_CASE("a client checks what it was told to, and no less by default") {
    const identity self = shared_tls_ca().issue(
        {.common_name = "who-knows", .names = {"DNS:who.test"}, .self_signed = true});
    client_options options = trusting();
    CHECK(!tried(options, serving(), "elsewhere.test").done());
    options.check = verify::chain;
    CHECK(tried(options, serving(), "elsewhere.test").done());
    CHECK(!tried(options, serving(self), "who.test").done());
    options.check = verify::none;
    CHECK(tried(options, serving(self), "elsewhere.test").done());
    CHECK(!tried(client_options(), serving()).done());  // the system does not know the test's
}

TEST_CASE("what no host can be is refused before anything is sent") {
    const client_context asks(trusting());
    for (const std::string_view host :
         {std::string_view("b\xc3\xbc"
                           "cher.test"),
          std::string_view("a b"), std::string_view("a\0b", 3), std::string_view("")})
        CHECK_THROWS_AS(asks.make_engine(host), tls::error);
    CHECK_THROWS_AS(asks.make_engine(std::string(300, 'a')), tls::error);
}

TEST_CASE("a server speaks the protocol that it likes best") {
    server_options server = serving();
    client_options client = trusting();
    server.alpn = {"h2", "http/1.1"};
    client.alpn = {"http/1.1", "h2"};
    CHECK(tried(client, server).client->info().alpn == "h2");
    client.alpn = {"http/1.1"};
    CHECK(tried(client, server).server->info().alpn == "http/1.1");
    client.alpn = {};
    CHECK(tried(client, server).client->info().alpn.empty());

    client.alpn = {"spdy/3"};
    engine_pair ends = tried(client, server);
    CHECK(ends.server->error() == tls::errc::no_alpn);
    CHECK(ends.client->error() == tls::errc::no_alpn);
    CHECK(alert_name(ends.client.why().alert) == std::string("no_application_protocol"));
    server.alpn = {};
    client.alpn_required = true;
    CHECK(tried(client, server).client->error() == tls::errc::no_alpn);
}

TEST_CASE("versions and ciphers that are not shared are told") {
    server_options server = serving();
    client_options client = trusting();
    server.protocol.min = tls::version::tls1_3;
    client.protocol.max = tls::version::tls1_2;
    engine_pair ends = tried(client, server);
    CHECK(ends.server->error() == tls::errc::nothing_in_common);
    CHECK(ends.client->error() == tls::errc::alert_received);

    server = serving();
    server.protocol.ciphersuites = "TLS_AES_256_GCM_SHA384";
    client = trusting();
    client.protocol.ciphersuites = "TLS_AES_128_GCM_SHA256";
    client.protocol.min = tls::version::tls1_3;
    CHECK(tried(client, server).server->error() == tls::errc::nothing_in_common);
}

TEST_CASE("a server shows the certificate of whom the client asks for") {
    const tls_ca& ca = shared_tls_ca();
    server_options server = serving();
    server.identities.push_back(ca.issue({.common_name = "sni-a", .names = {"DNS:a.sni.test"}}));
    server.identities.push_back(ca.issue({.common_name = "sni-w", .names = {"DNS:*.sni.test"}}));
    auto shown_for = [&](std::string_view host) {
        client_options client = trusting();
        client.check = verify::chain;
        engine_pair ends = tried(client, server, host);
        REQUIRE(ends.done());
        CHECK(ends.client->server_end_point() == ends.server->server_end_point());
        return ends.client->peer_certificate()->subject;
    };
    CHECK(shown_for("a.sni.test") == "CN=sni-a");
    CHECK(shown_for("A.sni.TEST") == "CN=sni-a");
    CHECK(shown_for("b.sni.test") == "CN=sni-w");
    CHECK(shown_for("localhost") == "CN=localhost");
    CHECK(shown_for("unknown.test") == "CN=localhost");
    CHECK(shown_for("127.0.0.1") == "CN=localhost");

    server.only_known_names = true;
    engine_pair ends = tried(trusting(), server, "unknown.test");
    CHECK(ends.server->error() == tls::errc::unknown_server_name);
    CHECK(alert_name(ends.client.why().alert) == std::string("unrecognized_name"));
}

TEST_CASE("two certificates with the same names serve those who know one kind only") {
    const tls_ca& ca = shared_tls_ca();
    server_options server =
        serving(ca.issue({.common_name = "dual-ec", .names = {"DNS:dual.test"}}));
    server.identities.push_back(
        ca.issue({.common_name = "dual-rsa", .names = {"DNS:dual.test"}, .key = "rsa:2048"}));
    client_options client = trusting();
    client.protocol.max = tls::version::tls1_2;
    client.protocol.ciphers = "ECDHE-RSA-AES128-GCM-SHA256";
    CHECK(tried(client, server, "dual.test").client->peer_certificate()->subject == "CN=dual-rsa");
    client.protocol.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256";
    CHECK(tried(client, server, "dual.test").client->peer_certificate()->subject == "CN=dual-ec");
}

TEST_CASE("a server that wants certificates of its clients gets them or refuses") {
    const tls_ca& ca = shared_tls_ca();
    server_options server = serving();
    server.client_ca_file = ca.ca_file();
    server.client_certificates = client_certificates::required;
    client_options client = trusting();
    client.certificate = ca.issue({.common_name = "alice"});
    engine_pair ends = tried(client, server);
    REQUIRE(ends.done());
    REQUIRE(ends.server->peer_certificate());
    CHECK(ends.server->peer_certificate()->subject == "CN=alice");

    client.certificate = {};
    engine_pair without = tried(client, server);
    CHECK(without.server->error() == tls::errc::certificate);
    CHECK(without.server.why().fault == certificate_fault::missing);
    CHECK(without.client->handshake_done());  // of TLS 1.3: it hears of it later
    CHECK(without.client.take_all() == -EPROTO);
    CHECK(without.client->error() == tls::errc::alert_received);
    CHECK(alert_name(without.client.why().alert) == std::string("certificate_required"));

    const tls_ca stranger("Stranger");
    client.certificate = stranger.issue({.common_name = "mallory"});
    engine_pair wrong = tried(client, server);
    CHECK(wrong.server->error() == tls::errc::certificate);
    CHECK(wrong.server.why().fault == certificate_fault::unknown_issuer);
    server.client_certificates = client_certificates::asked;
    CHECK(!tried(client, server).server->handshake_done());
    client.certificate = {};
    CHECK(tried(client, server).done());
}

TEST_CASE("a session is resumed once, by any worker, for its own host only") {
    for (const version highest : {tls::version::tls1_2, tls::version::tls1_3}) {
        client_options options = trusting();
        options.protocol.max = highest;
        const client_context asks(options);
        const server_context with(serving());
        CHECK(!resumes(asks, with));
        CHECK(asks.stats().sessions == 1);
        // The client's worker has it; the server's other workers open it.
        for (unsigned worker : {1U, 0U, 3U}) {
            half_of_pair server(with.make_engine(worker));
            engine_pair ends(asks, with);
            std::swap(ends.server, server);
            ends.talk();
            REQUIRE(ends.done());
            CAPTURE(worker);
            CAPTURE(static_cast<int>(highest));
            CHECK(ends.server->info().resumed);
        }
        CHECK(!resumes(asks, with, 0, "127.0.0.1"));
        CHECK(!resumes(asks, with, 7));  // another worker of the client
        CHECK(!resumes(client_context(trusting()), with));
    }
}

TEST_CASE("a TLS 1.3 session is used once") {
    client_options options = trusting();
    const client_context asks(options);
    const server_context with(serving());
    CHECK(!resumes(asks, with));
    engine_pair one(asks, with), other(asks, with);
    one.talk();
    other.talk();
    CHECK(one.client->info().resumed);
    CHECK(!other.client->info().resumed);
}

TEST_CASE("sessions outlive a server's reload, and not a client's") {
    const tls_ca& ca = shared_tls_ca();
    client_context asks(trusting());
    server_options options = serving();
    server_context with(options);
    CHECK(!resumes(asks, with));
    with.reload();
    CHECK(resumes(asks, with));
    asks.reload();
    CHECK(!resumes(asks, with));
    // Under other rules for clients none is taken up.
    options.client_ca_file = ca.ca_file();
    options.client_certificates = client_certificates::asked;
    with.reload(options);
    CHECK(!resumes(asks, with));
}

TEST_CASE("without tickets nothing is resumed, and a client keeps no more than its limit") {
    server_options without = serving();
    without.tickets = false;
    const client_context asks(trusting());
    const server_context never(without);
    CHECK(!resumes(asks, never));
    CHECK(!resumes(asks, never));

    client_options few = trusting();
    few.sessions_max = 2;
    few.check = verify::chain;
    const client_context limited(few);
    const server_context with(serving());
    for (const char* host : {"a.test", "b.test", "c.test"}) CHECK(!resumes(limited, with, 0, host));
    CHECK(limited.stats().sessions == 2);
    CHECK(!resumes(limited, with, 0, "a.test"));
    CHECK(resumes(limited, with, 0, "c.test"));
}

TEST_CASE("what is wrong with files is told, with their names") {
    const tls_ca& ca = shared_tls_ca();
    const identity good = localhost_identity();
    const identity other = ca.issue({.common_name = "other-key", .names = {"DNS:o.test"}});

    server_options options = serving({.certificate_file = ca.file("missing.pem")});
    try {
        const server_context made(options);
        FAIL("it was made");
    } catch (const std::system_error& problem) {
        CHECK(problem.code() == std::errc::no_such_file_or_directory);
        CHECK(std::string(problem.what()).find("missing.pem") != std::string::npos);
    }

    failure why = cannot(serving({good.certificate_file, other.key_file}));
    CHECK(why.what == tls::errc::key_mismatch);
    CHECK(why.file == other.key_file);
    why = cannot(serving({good.key_file, good.key_file}));
    CHECK(why.what == tls::errc::bad_certificate);
    CHECK(why.file == good.key_file);
    why = cannot(serving({good.certificate_file, good.certificate_file}));
    CHECK(why.what == tls::errc::bad_key);
    CHECK(why.file == good.certificate_file);
    const std::string noise = ca.write("noise.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n");
    CHECK(cannot(serving({noise, good.key_file})).what == tls::errc::bad_certificate);
    const std::string chain = ca.write(
        "broken_chain.pem", tls_ca::read(good.certificate_file) +
                                "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n");
    CHECK(cannot(serving({chain, good.key_file})).file == chain);

    const identity old =
        ca.issue({.common_name = "old-file", .names = {"DNS:o.test"}, .expired = true});
    why = cannot(serving(old));
    CHECK(why.what == tls::errc::certificate_expired);
    CHECK(why.file == old.certificate_file);
    CHECK(cannot(server_options()).what == tls::errc::bad_option);
    const identity weak =
        ca.issue({.common_name = "weak", .names = {"DNS:w.test"}, .key = "rsa:1024"});
    CHECK(cannot(serving(weak)).what == tls::errc::bad_certificate);
}

TEST_CASE("an encrypted key wants its password, and nobody is asked for it") {
    const identity secret = shared_tls_ca().issue(
        {.common_name = "secret", .names = {"DNS:s.test"}, .password = "open sesame"});
    server_options options = serving(secret);
    failure why = cannot(options);
    CHECK(why.what == tls::errc::encrypted_key);
    CHECK(why.file == secret.key_file);
    options.identities[0].key_password = "guess";
    why = cannot(options);
    CHECK(why.what == tls::errc::encrypted_key);
    CHECK(why.text().find("guess") == std::string::npos);
    options.identities[0].key_password = "open sesame";
    CHECK(tried(trusting(), options, "s.test").done());
}

TEST_CASE("options that cannot be are refused") {
    server_options options = serving();
    options.protocol.ciphers = "NO-SUCH-CIPHER";
    CHECK(cannot(options).what == tls::errc::bad_option);
    options = serving();
    options.alpn = {""};
    CHECK(cannot(options).what == tls::errc::bad_option);
    options = serving();
    options.client_certificates = client_certificates::required;
    CHECK(cannot(options).what == tls::errc::bad_option);
    options = serving();
    options.protocol.min = tls::version::tls1_3;
    options.protocol.max = tls::version::tls1_2;
    CHECK(cannot(options).what == tls::errc::bad_option);
}

TEST_CASE("certificates may be given as text, with the key behind them") {
    const identity good = localhost_identity();
    server_options options = serving(
        {.certificate_pem = tls_ca::read(good.certificate_file) + tls_ca::read(good.key_file)});
    client_options client = trusting("");
    client.ca_pem = tls_ca::read(shared_tls_ca().ca_file());
    CHECK(tried(client, options).done());
}

TEST_CASE("a reload changes new connections only, and a bad one nothing") {
    const tls_ca& ca = shared_tls_ca();
    const client_context asks(trusting());
    server_context with(serving());
    engine_pair live(asks, with);
    live.talk();
    const identity next = ca.issue({.common_name = "next", .names = {"DNS:localhost"}});
    CHECK_THROWS_AS(with.reload(serving({next.certificate_file, ca.file("ca.key")})), tls::error);
    with.reload(serving(next));
    engine_pair fresh(asks, with);
    fresh.client->info();
    live.server.feed(live.client.put("still"));
    CHECK(live.server.received() == "still");
    for (int i = 0; i < 50; ++i) with.reload();
    client_options whole = trusting();
    whole.sessions_max = 0;
    engine_pair late(client_context(whole), with);
    late.talk();
    CHECK(late.client->peer_certificate()->subject == "CN=next");
}

TEST_CASE("keys are logged when that is wanted") {
    server_options options = serving();
    options.protocol.key_log_file = shared_tls_ca().file("keys.log");
    CHECK(tried(trusting(), options).done());
    const std::string log = tls_ca::read(options.protocol.key_log_file);
    CHECK(log.find("SERVER_TRAFFIC_SECRET_0 ") != std::string::npos);
    CHECK(log.back() == '\n');
}

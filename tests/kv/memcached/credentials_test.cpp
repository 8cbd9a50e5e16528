// Who we are, when that changes: sources of credentials.
#include <ouro/kv/memcached/credentials.hpp>

#include <ouro/kv/memcached/client.hpp>
#include <ouro/kv/memcached/testing/fake_server.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <stdexcept>
#include <string>

using namespace ouro;
using namespace std::chrono_literals;
using memcached::client;
using memcached::fake_caller;
using memcached::fake_server;
using memcached::heard_request;

namespace {

/// A server that lets in whoever knows its password, and changes it.
struct strict_server {
    std::string login = "app one";
    int refused = 0;
    bool hangs_up = false;
    fake_server server{
        [this](const heard_request& asked, fake_caller& caller) { return answer(asked, caller); }};

    std::string answer(const heard_request& asked, fake_caller& caller) {
        if (hangs_up) {
            hangs_up = false;
            caller.close = true;
            return {};
        }
        if (asked.verb() != "set") return honest(asked);
        if (asked.value == login) return "STORED\r\n";
        ++refused;
        return "CLIENT_ERROR authentication failure\r\n";
    }
};

OURO_TEST("who we are is asked in every handshake") {
    strict_server strict;
    std::string known = "one";
    memcached::credentials_from source([&] { return memcached::credentials("app", known); });
    client cache = co_await client::connect(strict.server.address(), {.credentials = &source});
    known = "two";
    strict.login = "app two";
    strict.hangs_up = true;
    for (int i = 0; i < 3; ++i) {
        const auto got = co_await cache.get("key");
        CHECK(got == "key's");
    }
    CHECK(strict.server.connections() == 2);
    CHECK(strict.refused == 0);
    co_await cache.close();
}

OURO_TEST("a source may take its time, and is told which server it is for") {
    strict_server strict;
    std::string asked_for;
    memcached::credentials_from source(
        [&](const memcached::address& where) -> task<memcached::credentials> {
            asked_for = to_string(where);
            co_await sleep_for(5ms);
            co_return memcached::credentials("app", "one");
        });
    client cache = co_await client::connect(strict.server.address(), {.credentials = &source});
    CHECK(asked_for == strict.server.address());
    co_await cache.close();
}

OURO_TEST("a source that throws is heard, and asked again") {
    strict_server strict;
    int fails = 1;
    memcached::credentials_from source([&]() -> memcached::credentials {
        if (fails-- > 0) throw std::runtime_error("the vault is locked");
        return {"app", "one"};
    });
    std::string words;
    try {
        co_await client::connect(strict.server.address(), {.credentials = &source});
    } catch (const memcached::error& failure) {
        words = failure.what();
    }
    CHECK(words.find("the vault is locked") != std::string::npos);
    CHECK(strict.server.connections() == 0);
    client cache = co_await client::connect(strict.server.address(), {.credentials = &source});
    co_await cache.close();
}

OURO_TEST("what is refused does not show the password that the source gave") {
    strict_server strict;
    memcached::credentials_from source([] { return memcached::credentials("app", "sesame"); });
    std::string words;
    try {
        co_await client::connect(strict.server.address(), {.credentials = &source});
    } catch (const memcached::error& failure) {
        CHECK(failure.code() == memcached::errc::not_authenticated);
        words = failure.what();
    }
    CHECK(words.find("authentication failure") != std::string::npos);
    CHECK(words.find("sesame") == std::string::npos);
}

}  // namespace

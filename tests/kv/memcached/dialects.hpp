// dialects.hpp: tests of a client against real servers, in each of the three dialects.
#pragma once

#include <ouro/kv/memcached/client.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/servers.hpp>

#include <string>

/// A test whose body is told with `speaking` which dialect to speak; on every real reactor.
#define OURO_TEST_DIALECTS(sentence) \
    OURO_TEST_DIALECTS_NAMED(DOCTEST_ANONYMOUS(ouro_dialects_), sentence)
#define OURO_TEST_DIALECTS_NAMED(body, sentence)                                      \
    static ::ouro::task<> body(::ouro::memcached::dialect speaking);                  \
    DOCTEST_TEST_CASE(sentence) { ::ouro::memcached::doctest_on_each_dialect(body); } \
    static ::ouro::task<> body([[maybe_unused]] ::ouro::memcached::dialect speaking)

namespace ouro::memcached {

inline void doctest_on_each_dialect(task<> (*body)(dialect)) {
    const std::string names[] = {"meta", "text", "binary"};
    for (const dialect each : {dialect::meta, dialect::text, dialect::binary}) {
        DOCTEST_INFO("speaking ", names[static_cast<int>(each)]);
        auto in_this = [&] { return body(each); };
        doctest_on_real(in_this);
    }
}

/// A client of that server.
inline task<client> fresh_of(memcached_server& server, client_options options = {}) {
    return client::connect(server.address(), options);
}

}  // namespace ouro::memcached

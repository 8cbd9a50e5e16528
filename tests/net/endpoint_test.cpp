#include <ouro/net/endpoint.hpp>

#include <doctest/doctest.h>

#include <net/if.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <unordered_set>
#include <vector>

using ouro::errc;
using ouro::net::address_family;
using ouro::net::endpoint;

namespace {

std::string what_of(std::string_view text) {
    try {
        const endpoint where(text);
        return "read as " + where.to_string();
    } catch (const std::system_error& error) {
        CHECK(error.code() == errc::bad_address);
        return error.what();
    }
}

endpoint from_unix(std::string_view name, std::size_t length) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    return *endpoint::from(reinterpret_cast<const sockaddr*>(&address),
                           static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
}

}  // namespace

TEST_CASE("what is written as an address reads back to the same one") {
    for (const char* text :
         {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:80", "[::]:65535",
          "[2001:db8::1]:443", "[::ffff:10.0.0.1]:7", "unix:/run/x", "unix:relative/path",
          "unix:@name", "unix:with space", "unix:/a:b"}) {
        CAPTURE(text);
        const endpoint where(text);
        CHECK(where.to_string() == text);
        CHECK(endpoint(where.to_string()) == where);
        CHECK(endpoint::parse(text).value() == where);
    }
}

TEST_CASE("an address tells its family, port, host and path") {
    const endpoint v4("10.1.2.3:8080");
    CHECK(v4.family() == address_family::ipv4);
    CHECK(v4.domain() == AF_INET);
    CHECK(v4.port() == 8080);
    CHECK(v4.host() == "10.1.2.3");
    CHECK(v4.is_ip());
    CHECK(v4.length() == sizeof(sockaddr_in));

    const endpoint v6("[2001:db8::1]:443");
    CHECK(v6.family() == address_family::ipv6);
    CHECK(v6.port() == 443);
    CHECK(v6.host() == "2001:db8::1");

    const endpoint file("unix:/run/x");
    CHECK(file.family() == address_family::unix_socket);
    CHECK(file.path() == "/run/x");
    CHECK(file.port() == 0);
    CHECK(file.is_unix());
    CHECK(endpoint("unix:@x").path().empty());

    const endpoint none;
    CHECK(none.family() == address_family::none);
    CHECK(none.to_string() == "none");
    CHECK(none.length() == 0);
}

TEST_CASE("an address and a port make an endpoint") {
    const endpoint where{"127.0.0.1", 7000};
    CHECK(where.to_string() == "127.0.0.1:7000");
    CHECK(endpoint{"::1", 7000}.to_string() == "[::1]:7000");
    CHECK(endpoint{"[::1]", 7000}.to_string() == "[::1]:7000");
    CHECK(endpoint{"*", 7000} == endpoint::any(7000));
    CHECK(endpoint{"", 7000} == endpoint::any(7000));
    CHECK_THROWS_AS((endpoint{"localhost", 80}), std::system_error);
    CHECK_FALSE(endpoint::parse("localhost", 80));
    CHECK_FALSE(endpoint::parse("[127.0.0.1]", 80));
    CHECK(where.with_port(1).to_string() == "127.0.0.1:1");
    CHECK(endpoint("[::1]:5").with_port(6).to_string() == "[::1]:6");
    CHECK(endpoint("unix:/x").with_port(6).to_string() == "unix:/x");
}

TEST_CASE("a port alone means every address of the machine") {
    CHECK(endpoint(":8080") == endpoint("[::]:8080"));
    CHECK(endpoint("*:8080") == endpoint("[::]:8080"));
    CHECK(endpoint(":8080").is_any());
    CHECK(endpoint("0.0.0.0:8080") == endpoint::any_ipv4(8080));
    CHECK(endpoint("0.0.0.0:8080").is_any());
    CHECK_FALSE(endpoint("127.0.0.1:8080").is_any());
}

TEST_CASE("a bad address is quoted with what is wrong with it") {
    CHECK(what_of("localhost:80") ==
          "\"localhost:80\": neither IPv4 nor IPv6: not a valid address");
    CHECK(what_of("127.0.0.1") == "\"127.0.0.1\": no port: not a valid address");
    CHECK(what_of("1.2.3.4:65536") ==
          "\"1.2.3.4:65536\": the port is no number up to 65535: not a valid address");
    CHECK(what_of("::1:80") ==
          "\"::1:80\": an IPv6 address before a port needs brackets: not a valid address");
    CHECK(what_of("[::1]:80") == "read as [::1]:80");
}

TEST_CASE("what is no address is not read") {
    for (const char* text : {"",
                             ":",
                             "*",
                             "80",
                             "1.2.3.4:",
                             "1.2.3.4:+80",
                             "1.2.3.4:-1",
                             "1.2.3.4: 80",
                             "1.2.3.4:80 ",
                             "1.2.3.4:0x50",
                             "1.2.3:80",
                             "1.2.3.4.5:80",
                             "01.2.3.4:80",
                             "256.0.0.1:80",
                             " 1.2.3.4:80",
                             "[::1",
                             "[::1]",
                             "[::1]80",
                             "[::1]:",
                             "[]:80",
                             "[:80",
                             "[1.2.3.4]:80",
                             "[::g]:80",
                             "[::1%]:80",
                             "[::1%nosuchinterface]:80",
                             "[::1]]:80",
                             "[[::1]]:80",
                             "unix:",
                             "unix:@",
                             "1.2.3.4:99999999999999999999"}) {
        CAPTURE(text);
        CHECK(endpoint::parse(text).error() == errc::bad_address);
    }
    CHECK_FALSE(endpoint::parse(std::string_view("1.2.3.4\0:80", 11)));
    CHECK_FALSE(endpoint::parse(std::string_view("unix:/a\0b", 9)));
    CHECK_FALSE(endpoint::parse(std::string(1000, '1') + ":80"));
}

TEST_CASE("a scope is an interface's name or number") {
    const unsigned loopback = ::if_nametoindex("lo");
    REQUIRE(loopback != 0);
    const endpoint named("[fe80::1%lo]:80");
    CHECK(named == endpoint("[fe80::1%" + std::to_string(loopback) + "]:80"));
    CHECK(named.to_string() == "[fe80::1%lo]:80");
    CHECK(named != endpoint("[fe80::1]:80"));
    // An interface that this machine does not have keeps its number.
    CHECK(endpoint("[fe80::1%987654]:80").to_string() == "[fe80::1%987654]:80");
    CHECK(endpoint{"fe80::1%lo", 80} == named);
}

TEST_CASE("a Unix socket's name has at most 107 bytes") {
    const std::string longest(107, 'x');
    CHECK(endpoint("unix:" + longest).path() == longest);
    CHECK(endpoint("unix:@" + longest).to_string() == "unix:@" + longest);
    CHECK(endpoint("unix:" + longest).length() == sizeof(sockaddr_un));
    CHECK_FALSE(endpoint::parse("unix:" + longest + "x"));
    CHECK_FALSE(endpoint::parse("unix:@" + longest + "x"));
    CHECK(what_of("unix:" + longest + "x").find("at most 107 bytes") != std::string::npos);
}

TEST_CASE("what the system fills in becomes an endpoint") {
    const endpoint v4("127.0.0.1:80");
    CHECK(endpoint::from(v4.address(), v4.length()).value() == v4);
    const endpoint v6("[fe80::1%lo]:80");
    CHECK(endpoint::from(v6.address(), v6.length()).value() == v6);
    CHECK(endpoint::from(v6.address(), sizeof(sockaddr_storage)).error() == errc::bad_address);

    // The kernel counts a path's NUL, or all of sun_path, or leaves the NUL out of a full one.
    CHECK(from_unix("/x", 2) == endpoint("unix:/x"));
    CHECK(from_unix("/x", 3) == endpoint("unix:/x"));
    CHECK(from_unix("/x", 108) == endpoint("unix:/x"));
    CHECK(from_unix(std::string_view("\0ab", 3), 3) == endpoint("unix:@ab"));
    CHECK(from_unix("", 0).to_string() == "unix:");        // never bound
    CHECK(from_unix("@x", 3).to_string() == "unix:./@x");  // a file

    for (socklen_t length = 0; length < v4.length(); ++length)
        CHECK_FALSE(endpoint::from(v4.address(), length));
    for (socklen_t length = 0; length < v6.length(); ++length)
        CHECK_FALSE(endpoint::from(v6.address(), length));
    sockaddr unknown{};
    unknown.sa_family = AF_APPLETALK;
    CHECK_FALSE(endpoint::from(&unknown, sizeof unknown));
}

TEST_CASE("loopback, multicast and mapped addresses are told from others") {
    for (const char* text :
         {"127.0.0.1:1", "127.255.0.1:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "unix:/x", "unix:@x"})
        CHECK(endpoint(text).is_loopback());
    for (const char* text : {"128.0.0.1:1", "10.0.0.1:1", "[::2]:1", "[::ffff:10.0.0.1]:1"})
        CHECK_FALSE(endpoint(text).is_loopback());
    CHECK_FALSE(endpoint().is_loopback());

    CHECK(endpoint("224.0.0.1:1").is_multicast());
    CHECK(endpoint("239.255.255.255:1").is_multicast());
    CHECK(endpoint("[ff02::1]:1").is_multicast());
    CHECK_FALSE(endpoint("240.0.0.1:1").is_multicast());
    CHECK_FALSE(endpoint("unix:/x").is_multicast());

    CHECK(endpoint("[::ffff:10.0.0.1]:7").unmapped() == endpoint("10.0.0.1:7"));
    CHECK(endpoint("[::1]:7").unmapped() == endpoint("[::1]:7"));
    CHECK(endpoint("10.0.0.1:7").unmapped() == endpoint("10.0.0.1:7"));
}

TEST_CASE("endpoints are ordered by family, address and port, and hashed likewise") {
    const std::vector<endpoint> ascending = {
        endpoint(),      "1.2.3.4:80", "1.2.3.4:81", "1.2.3.5:1", "9.0.0.0:1",
        "10.0.0.0:1",    "[::1]:1",    "[::1]:2",    "[::2]:1",   "[fe80::1%1]:1",
        "[fe80::1%2]:1", "unix:@a",    "unix:/a",    "unix:/b"};
    CHECK(std::is_sorted(ascending.begin(), ascending.end()));
    for (std::size_t i = 0; i < ascending.size(); ++i)
        for (std::size_t j = 0; j < ascending.size(); ++j)
            CHECK((ascending[i] == ascending[j]) == (i == j));

    std::unordered_set<endpoint> set(ascending.begin(), ascending.end());
    CHECK(set.size() == ascending.size());
    CHECK(set.count(endpoint("1.2.3.4:81")) == 1);
    CHECK(endpoint("unix:/x").hash() == from_unix("/x", 108).hash());
}

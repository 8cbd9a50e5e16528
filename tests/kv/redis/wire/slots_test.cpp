#include <ouro/kv/redis/wire/slots.hpp>

#include <ouro/kv/redis/error.hpp>
#include <ouro/kv/redis/wire/resp.hpp>

#include <doctest/doctest.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

using namespace ouro;
using namespace ouro::redis;

namespace {

const node_endpoint asked{"10.0.0.9", 7009};

reply read(std::string_view bytes) {
    resp_parser parser;
    const result<std::size_t> used = parser.parse(std::as_bytes(std::span(bytes)));
    REQUIRE(used);
    REQUIRE(*used == bytes.size());
    return reply(parser.root());
}

std::string bulk(std::string_view text) {
    return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

std::string text(const node_endpoint& where) {
    return where.host + " " + std::to_string(where.port);
}

std::string moved_to(std::string_view words) {
    const std::optional<redirection> read = read_redirection(words, asked);
    if (!read) return "nothing";
    return (read->ask ? "ask " : "moved ") + std::to_string(read->slot) + " " + text(read->to);
}

TEST_CASE("the checksum is CRC16-XMODEM") {
    CHECK(crc16("123456789") == 0x31c3);
    CHECK(crc16("") == 0);
    CHECK(crc16("A") == 0x58e5);
    CHECK(crc16(std::string_view("\0\xff", 2)) == 0x1ef0);
}

TEST_CASE("keys have the slots that the server reckons") {
    // As CLUSTER KEYSLOT answers.
    CHECK(slot_of("foo") == 12182);
    CHECK(slot_of("bar") == 5061);
    CHECK(slot_of("hello") == 866);
    CHECK(slot_of("123456789") == 12739);
    CHECK(slot_of("") == 0);
}

TEST_CASE("only a tag that is not empty decides") {
    CHECK(hash_tag("{user1000}.following") == "user1000");
    CHECK(hash_tag("foo{bar}baz") == "bar");
    CHECK(hash_tag("foo{}{bar}") == "foo{}{bar}");
    CHECK(hash_tag("foo{{bar}}zap") == "{bar");
    CHECK(hash_tag("foo{bar}{zap}") == "bar");
    CHECK(hash_tag("foo{bar") == "foo{bar");
    CHECK(hash_tag("foo}bar{x}") == "x");
    CHECK(hash_tag("}{") == "}{");
    CHECK(hash_tag("{}") == "{}");
    CHECK(hash_tag("{a}") == "a");
    CHECK(hash_tag("") == "");
    CHECK(slot_of("{user1000}.following") == slot_of("{user1000}.followers"));
    CHECK(slot_of("foo{}{bar}") == 8363);
    CHECK(slot_of("foo{{bar}}zap") == slot_of("{bar"));
}

TEST_CASE("a redirection names a slot and a place") {
    CHECK(moved_to("MOVED 3999 127.0.0.1:6381") == "moved 3999 127.0.0.1 6381");
    CHECK(moved_to("ASK 16383 node-3.example.org:6381") == "ask 16383 node-3.example.org 6381");
    CHECK(moved_to("MOVED 1 ::1:6381") == "moved 1 ::1 6381");
    CHECK(moved_to("MOVED 1 [2001:db8::2]:6381") == "moved 1 2001:db8::2 6381");
    CHECK(moved_to("MOVED 0 127.0.0.1:6381 and more") == "moved 0 127.0.0.1 6381");
}

TEST_CASE("what a redirection does not say is as with the node that was asked") {
    CHECK(moved_to("MOVED 1 :6381") == "moved 1 10.0.0.9 6381");
    CHECK(moved_to("MOVED 1 ?:6381") == "moved 1 10.0.0.9 6381");
    CHECK(moved_to("MOVED 1 10.0.0.1:0") == "moved 1 10.0.0.1 7009");
}

TEST_CASE("a broken redirection is none") {
    for (const char* words :
         {"", "MOVED", "MOVED ", "MOVED 1", "MOVED 1 ", "MOVED 16384 a:1", "MOVED -1 a:1",
          "MOVED x a:1", "MOVED 1 a", "MOVED 1 a:", "MOVED 1 a:x", "MOVED 1 a:65536",
          "MOVEDX 1 a:1", "ERR MOVED 1 a:1", "TRYAGAIN 1 a:1", "MOVED 1x a:1", "moved 1 a:1"})
        CHECK_MESSAGE(moved_to(words) == "nothing", words);
}

TEST_CASE("CLUSTER SLOTS is read, whichever way a node's place is told") {
    const std::string nodes =
        "*4\r\n"
        "*4\r\n:0\r\n:100\r\n"
        "*4\r\n" +
        bulk("10.0.0.1") + ":7001\r\n" + bulk("id1") +
        "*0\r\n"
        "*3\r\n" +
        bulk("10.0.0.2") + ":7002\r\n" + bulk("id2") +
        "*3\r\n:101\r\n:101\r\n"
        "*3\r\n_\r\n:7003\r\n" +
        bulk("id3") +
        "*3\r\n:102\r\n:200\r\n"
        "*4\r\n" +
        bulk("?") + ":7004\r\n" + bulk("id4") + "*2\r\n" + bulk("ip") + bulk("10.0.0.4") +
        "*3\r\n:300\r\n:16383\r\n"
        "*2\r\n" +
        bulk("") + ":0\r\n";
    const result<slot_table> table = read_cluster_slots(read(nodes), asked);
    REQUIRE(table);
    REQUIRE(table->shards().size() == 4);
    CHECK(text(table->shards()[0].master) == "10.0.0.1 7001");
    REQUIRE(table->shards()[0].replicas.size() == 1);
    CHECK(text(table->shards()[0].replicas[0]) == "10.0.0.2 7002");
    CHECK(text(table->shards()[1].master) == "10.0.0.9 7003");
    CHECK(text(table->shards()[2].master) == "10.0.0.4 7004");
    CHECK(text(table->shards()[3].master) == "10.0.0.9 7009");
    CHECK(table->shard_of(0) == 0);
    CHECK(table->shard_of(100) == 0);
    CHECK(table->shard_of(101) == 1);
    CHECK(table->shard_of(250) == slot_table::nobody);
    CHECK(table->shard_of(16383) == 3);
    CHECK(table->covered() == slot_count - 99);
}

TEST_CASE("ranges of one master are one shard") {
    const std::string node = "*2\r\n" + bulk("a") + ":1\r\n";
    const std::string reply = "*2\r\n*3\r\n:0\r\n:5\r\n" + node + "*3\r\n:10\r\n:15\r\n" + node;
    const result<slot_table> table = read_cluster_slots(read(reply), asked);
    REQUIRE(table);
    CHECK(table->shards().size() == 1);
    CHECK(table->covered() == 12);
}

TEST_CASE("what is no table of slots is refused") {
    const std::string node = "*2\r\n" + bulk("a") + ":1\r\n";
    for (const std::string& bytes :
         {std::string("+OK\r\n"), std::string("_\r\n"), std::string("*1\r\n:1\r\n"),
          std::string("*1\r\n*2\r\n:0\r\n:1\r\n"), "*1\r\n*3\r\n:5\r\n:4\r\n" + node,
          "*1\r\n*3\r\n:0\r\n:16384\r\n" + node, "*1\r\n*3\r\n:-1\r\n:4\r\n" + node,
          "*1\r\n*3\r\n$1\r\nx\r\n:4\r\n" + node,
          std::string("*1\r\n*3\r\n:0\r\n:1\r\n*1\r\n$1\r\na\r\n"),
          std::string("*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:70000\r\n")}) {
        const result<slot_table> table = read_cluster_slots(read(bytes), asked);
        CHECK_MESSAGE(table.error() == redis::errc::unexpected_reply, bytes);
    }
    const result<slot_table> off =
        read_cluster_slots(read("-ERR This instance has cluster support disabled\r\n"), asked);
    CHECK(off.error() == redis::errc::server_error);
}

std::string described(std::string_view role, std::string_view host, int port,
                      std::string_view health = "online") {
    return "%7\r\n" + bulk("id") + bulk("x") + bulk("port") + ":" + std::to_string(port) + "\r\n" +
           bulk("ip") + bulk("10.1.1.1") + bulk("endpoint") + bulk(host) + bulk("role") +
           bulk(role) + bulk("replication-offset") + ":7\r\n" + bulk("health") + bulk(health);
}

TEST_CASE("CLUSTER SHARDS is read, with fields that nobody knows yet") {
    const std::string first =
        "%3\r\n" + bulk("slots") + "*4\r\n:0\r\n:10\r\n:20\r\n:30\r\n" + bulk("weather") +
        "*1\r\n%1\r\n+a\r\n+b\r\n" + bulk("nodes") + "*4\r\n" +
        described("master", "10.0.0.1", 7001, "fail") + described("replica", "10.0.0.2", 7002) +
        described("master", "?", 7003) + described("replica", "10.0.0.4", 7004, "fail");
    const std::string second = "%2\r\n" + bulk("slots") + "*0\r\n" + bulk("nodes") + "*1\r\n" +
                               described("master", "10.0.0.5", 7005);
    const result<slot_table> table = read_cluster_shards(read("*2\r\n" + first + second), asked);
    REQUIRE(table);
    REQUIRE(table->shards().size() == 1);  // the other one serves nothing
    CHECK(text(table->shards()[0].master) == "10.1.1.1 7003");
    REQUIRE(table->shards()[0].replicas.size() == 1);
    CHECK(text(table->shards()[0].replicas[0]) == "10.0.0.2 7002");
    CHECK(table->covered() == 22);
    CHECK(table->shard_of(15) == slot_table::nobody);
}

TEST_CASE("CLUSTER SHARDS is read under RESP2, too") {
    std::string flat = described("master", "", 0);
    flat.replace(0, 2, "*14");
    const std::string bytes =
        "*1\r\n*4\r\n" + bulk("slots") + "*2\r\n:0\r\n:16383\r\n" + bulk("nodes") + "*1\r\n" + flat;
    const result<slot_table> table = read_cluster_shards(read(bytes), asked);
    REQUIRE(table);
    CHECK(table->covered() == slot_count);
    CHECK(text(table->shards()[0].master) == "10.0.0.9 7009");
}

TEST_CASE("what are no shards is refused") {
    for (const char* bytes : {"+OK\r\n", "*1\r\n:1\r\n", "*1\r\n%0\r\n",
                              "*1\r\n%2\r\n+slots\r\n*2\r\n:0\r\n:16384\r\n+nodes\r\n*1\r\n%4\r\n"
                              "+endpoint\r\n+a\r\n+port\r\n:1\r\n+role\r\n+master\r\n"
                              "+health\r\n+online\r\n"}) {
        const result<slot_table> table = read_cluster_shards(read(bytes), asked);
        CHECK_MESSAGE(table.error() == redis::errc::unexpected_reply, bytes);
    }
}

}  // namespace

#include <ouro/kv/redis/commands/bitmaps.hpp>

#include <ouro/tests/kv/redis/plain_door.hpp>

#include <doctest/doctest.h>

using namespace ouro::redis;

using maybe_numbers = std::vector<std::optional<std::int64_t>>;

OURO_TEST_DOOR("bits are set, read and counted") {
    CHECK_FALSE(db.setbit("b", 7, true));
    CHECK(db.setbit("b", 7, true));
    CHECK(db.getbit("b", 7));
    CHECK_FALSE(db.getbit("b", 6));
    CHECK_FALSE(db.getbit("nothing", 1000));
    CHECK_FALSE(db.setbit("b", 23, true));
    CHECK(db.bitcount("b") == 2);
    CHECK(db.bitcount("b", {.start = 0, .end = 0}) == 1);
    CHECK(db.bitcount("b", {.start = 8, .end = 23, .bits = true}) == 1);
    CHECK(db.bitpos("b", true) == 7);
    CHECK(db.bitpos("b", false) == 0);
    CHECK(db.bitpos("b", true, {.start = 1}) == 23);
    CHECK(db.bitpos("b", true, {.start = 8, .end = 10, .bits = true}) == -1);
    CHECK(db.setbit("b", 7, false));
    CHECK(code_from([&] { db.setbit("b", -1, true); }) == errc::server_error);
}

OURO_TEST_DOOR("strings are put together bit by bit") {
    db.mset({{"a", "\x0f"}, {"b", "\x3c"}});
    CHECK(db.bitop(bit_operation::bit_and, "to", {"a", "b"}) == 1);
    CHECK(db.get("to") == "\x0c");
    CHECK(db.bitop(bit_operation::bit_or, "to", {"a", "b"}) == 1);
    CHECK(db.get("to") == "\x3f");
    CHECK(db.bitop(bit_operation::bit_xor, "to", {"a", "b"}) == 1);
    CHECK(db.get("to") == "\x33");
    CHECK(db.bitop(bit_operation::bit_not, "to", "a") == 1);
    CHECK(db.get("to") == "\xf0");
}

OURO_TEST_DOOR("small integers are kept in a string") {
    bitfield_operations all;
    all.set("u8", 0, 200).incrby("u8", 0, 10).get("i4", 0);
    all.overflow(bit_overflow::fail).incrby("u8", 0, 100);
    all.overflow(bit_overflow::saturate).incrby("u8", 0, 100);
    all.overflow(bit_overflow::wrap).incrby("u8", 0, 1);
    CHECK(db.bitfield("b", all) == maybe_numbers{0, 210, -3, std::nullopt, 255, 0});
    bitfield_operations reads;
    reads.get("u8", 0).get("u1", 100);
    CHECK(db.bitfield_ro("b", reads) == std::vector<std::int64_t>{0, 0});
    bitfield_operations many;
    for (int i = 0; i < 100; ++i) many.set("u8", 8 * i, i);
    CHECK(db.bitfield("c", many).size() == 100);
    CHECK(db.strlen("c") == 100);
}

OURO_TEST_DOOR("different elements are counted, about") {
    CHECK(db.pfadd("p", {"a", "b", "c"}));
    CHECK_FALSE(db.pfadd("p", "a"));
    CHECK(db.pfadd("empty", {}));
    CHECK(db.pfcount("p") == 3);
    CHECK(db.pfadd("q", {"c", "d"}));
    CHECK(db.pfcount({"p", "q"}) == 4);
    db.pfmerge("to", {"p", "q"});
    CHECK(db.pfcount("to") == 4);
    db.set("string", 1);
    CHECK(code_from([&] { db.pfcount("string"); }) == errc::wrong_type);
}

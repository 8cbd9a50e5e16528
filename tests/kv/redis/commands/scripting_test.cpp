#include <ouro/kv/redis/commands/scripting.hpp>

#include <ouro/kv/redis/commands/functions.hpp>
#include <ouro/tests/kv/redis/plain_door.hpp>

#include <doctest/doctest.h>

using namespace ouro::redis;

using texts = std::vector<std::string>;

namespace {

constexpr std::string_view library = R"(#!lua name=mylib
redis.register_function('set_it', function(keys, args)
    return redis.call('SET', keys[1], args[1])
end)
redis.register_function{function_name='get_it', flags={'no-writes'}, description='reads',
    callback=function(keys, args) return redis.call('GET', keys[1]) end}
)";

}  // namespace

OURO_TEST_DOOR("scripts are run with keys and arguments") {
    CHECK(db.eval<std::int64_t>("return 1") == 1);
    CHECK(db.eval<texts>("return {KEYS[1], KEYS[2], ARGV[1]}", {"a", "b"}, {7}) ==
          texts{"a", "b", "7"});
    CHECK(db.eval("return {1, 'x', {2}}").size() == 3);
    db.set("a", 5);
    CHECK(db.eval_ro<int>("return redis.call('GET', KEYS[1])", "a") == 5);
    CHECK(code_from([&] { db.eval_ro("return redis.call('SET', KEYS[1], 1)", "a"); }) ==
          errc::server_error);
    CHECK(code_from([&] { db.eval("not lua"); }) == errc::server_error);
    CHECK(code_from([&] { db.eval("return redis.error_reply('WRONGTYPE mine')"); }) ==
          errc::wrong_type);
    const texts many(1000, "x");
    CHECK(db.eval<int>("return #KEYS * 10000 + #ARGV", many, many) == 10001000);
}

OURO_TEST_DOOR("scripts are run by their digest") {
    db.script_flush();
    const std::string digest = db.script_load("return tonumber(ARGV[1]) * 2");
    CHECK(digest.size() == 40);
    CHECK(db.evalsha<int>(digest, {}, {21}) == 42);
    CHECK(db.evalsha_ro<int>(digest, "key", {4}) == 8);
    CHECK(db.script_exists({digest, "0000000000000000000000000000000000000000"}) ==
          std::vector{true, false});
    db.script_flush(flush_mode::sync);
    CHECK(code_from([&] { db.evalsha(digest); }) == errc::no_script);
    db.script_flush(flush_mode::async);
    CHECK(code_from([&] { db.script_kill(); }) == errc::server_error);
}

OURO_TEST_DOOR("functions are loaded, called and listed") {
    db.function_flush();
    CHECK(db.function_list().empty());
    CHECK(db.function_load(library) == "mylib");
    CHECK(code_from([&] { db.function_load(library); }) == errc::server_error);
    CHECK(db.function_load(library, true) == "mylib");
    CHECK(db.fcall<std::string>("set_it", "a", {5}) == "OK");
    CHECK(db.fcall_ro<int>("get_it", "a") == 5);
    CHECK(code_from([&] { db.fcall_ro("set_it", "a", {5}); }) == errc::server_error);

    const auto listed = db.function_list({.library = "my*", .with_code = true});
    REQUIRE(listed.size() == 1);
    CHECK(listed[0].name == "mylib");
    CHECK(listed[0].engine == "LUA");
    CHECK(listed[0].code == library);
    REQUIRE(listed[0].functions.size() == 2);
    for (const library_function& each : listed[0].functions) {
        if (each.name != "get_it") continue;
        CHECK(each.description == "reads");
        CHECK(each.flags == texts{"no-writes"});
    }
    CHECK_FALSE(db.function_list()[0].code);

    const std::string dumped = db.function_dump();
    db.function_delete("mylib");
    CHECK(db.function_list().empty());
    db.function_restore(dumped);
    CHECK(code_from([&] { db.function_restore(dumped); }) == errc::server_error);
    db.function_restore(dumped, restore_policy::replace);
    db.function_restore(dumped, restore_policy::flush);
    CHECK(db.function_list().size() == 1);
    CHECK(db.function_stats().size() > 0);
    CHECK(code_from([&] { db.function_kill(); }) == errc::server_error);
    db.function_flush(flush_mode::async);
    db.function_flush(flush_mode::sync);
}

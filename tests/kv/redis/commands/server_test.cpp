#include <ouro/kv/redis/commands/server.hpp>

#include <ouro/kv/redis/commands/pubsub.hpp>
#include <ouro/tests/kv/redis/plain_door.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <map>

using namespace ouro::redis;
using namespace std::chrono_literals;

using texts = std::vector<std::string>;

namespace {

bool recent(wall_time when) {
    const auto now = std::chrono::system_clock::now();
    return when < now + 1h && when > now - 1h;
}

bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

OURO_TEST_DOOR("the server tells about its commands") {
    CHECK(db.command_count() > 200);
    CHECK(db.command_list().size() > 200);
    CHECK(db.command_getkeys({"MSET", "a", 1, "b", 2}) == texts{"a", "b"});
    const auto keys = db.command_getkeysandflags({"SET", "a", 1});
    REQUIRE(keys.size() == 1);
    CHECK(keys[0].first == "a");
    CHECK(keys[0].second == texts{"OW", "update"});
    CHECK(db.command_info_of({"GET", "nothing"}).size() == 2);
    CHECK(db.command_docs("GET").size() == 2);
}

OURO_TEST_DOOR("settings are read and changed") {
    db.config_set({{"maxmemory-samples", 7}, {"hz", 11}});
    const auto found = db.config_get({"maxmemory-sam*", "hz"});
    CHECK(found.at("maxmemory-samples") == "7");
    CHECK(found.at("hz") == "11");
    CHECK(db.config_get<std::map<std::string, int>>("hz").at("hz") == 11);
    CHECK(code_from([&] { db.config_set({{"nonsense", 1}}); }) == errc::server_error);
    db.config_resetstat();
    db.config_rewrite();
}

OURO_TEST_DOOR("databases are counted, swapped and emptied") {
    db.mset({{"a", 1}, {"b", 2}});
    CHECK(db.dbsize() == 2);
    db.swapdb(0, 1);
    CHECK(db.dbsize() == 0);
    db.swapdb(0, 1);
    db.flushdb();
    CHECK(db.dbsize() == 0);
    db.flushdb(flush_mode::async);
    db.flushall(flush_mode::sync);
}

OURO_TEST_DOOR("the server tells how it fares") {
    CHECK(has(db.info(), "redis_version:"));
    const std::string some = db.info({"server", "clients"});
    CHECK(has(some, "# Clients"));
    CHECK_FALSE(has(some, "# Memory"));
    CHECK(recent(db.time()));
    CHECK(recent(db.lastsave()));
    CHECK(has(db.lolwut(), "Redis ver."));
    CHECK_FALSE(db.memory_doctor().empty());
    CHECK_FALSE(db.memory_malloc_stats().empty());
    db.memory_purge();
    CHECK(db.memory_stats().size() > 10);
    db.set("a", 1);
    CHECK(db.memory_usage("a").value() > 10);
    CHECK(db.memory_usage("a", 0).value() > 10);
    CHECK_FALSE(db.memory_usage("nothing"));
    CHECK(db.role()[0].text() == "master");
    const auto role = db.role<std::tuple<std::string, std::int64_t, reply>>();
    CHECK(std::get<0>(role) == "master");
}

OURO_TEST_DOOR("what took long is kept") {
    db.slowlog_reset();
    db.config_set({{"slowlog-log-slower-than", 0}});
    const auto before = std::chrono::steady_clock::now();
    db.set("slow", "down");
    const auto took_here = std::chrono::steady_clock::now() - before;
    db.config_set({{"slowlog-log-slower-than", 10'000}});
    CHECK(db.slowlog_len() >= 1);
    const auto log = db.slowlog_get(-1);
    bool found = false;
    for (const slowlog_entry& each : log) {
        if (each.arguments != texts{"SET", "slow", "down"}) continue;
        found = true;
        CHECK(recent(each.at));
        CHECK(each.took <= took_here);
        CHECK(each.client_address.starts_with("127.0.0.1:"));
        CHECK(each.client_name.empty());
    }
    CHECK(found);
    CHECK(db.slowlog_get(1).size() == 1);
}

OURO_TEST_DOOR("what took long in the server is kept, too") {
    CHECK(has(db.latency_doctor(), "latency"));
    db.config_set({{"latency-monitor-threshold", 1}});
    db.any({"DEBUG", "SLEEP", 0.01});
    const auto latest = db.latency_latest();
    const auto slept = std::find_if(latest.begin(), latest.end(), [](const latency_event& each) {
        return each.name == "command";
    });
    REQUIRE(slept != latest.end());
    CHECK(slept->worst >= 10ms);
    CHECK(slept->worst >= slept->latest);
    CHECK(slept->latest >= 1ms);
    CHECK(recent(slept->at));
    const auto history = db.latency_history("command");
    CHECK(std::any_of(history.begin(), history.end(), [](const latency_sample& each) {
        return each.took >= 10ms && recent(each.at);
    }));
    CHECK(has(db.latency_graph("command"), "command"));
    CHECK(db.latency_history("nothing").empty());
    CHECK(db.latency_reset({"command", "nothing"}) == 1);
    CHECK(db.latency_reset() >= 0);
    db.config_set({{"latency-monitor-threshold", 0}});
    db.set("a", 1);
    CHECK(db.latency_histogram("set").size() > 0);
    CHECK(db.latency_histogram().size() > 0);
}

OURO_TEST_DOOR("snapshots are made") {
    db.save();
    const auto over = [&] {
        const std::string state = db.info("persistence");
        return has(state, "rdb_bgsave_in_progress:0") && has(state, "aof_rewrite_in_progress:0") &&
               has(state, "aof_rewrite_scheduled:0");
    };
    CHECK(has(db.bgsave(), "Background"));
    ouro::eventually("the snapshot is made", over);
    CHECK(has(db.bgsave(true), "Background"));
    ouro::eventually("the snapshot is made", over);
    CHECK(has(db.bgrewriteaof(), "rewriting"));
    ouro::eventually("the log is rewritten", over);
}

OURO_TEST_DOOR("a server follows another one, and stops") {
    const ouro::redis_server master;
    master.call({"SET", "theirs", "1"});
    CHECK(code_from([&] { db.failover(); }) == errc::server_error);
    CHECK(code_from([&] {
              db.failover({.host = "127.0.0.1", .port = 1, .force = true, .timeout = 1s});
          }) == errc::server_error);
    CHECK(code_from([&] { db.failover_abort(); }) == errc::server_error);
    db.replicaof("127.0.0.1", master.port());
    CHECK(db.role()[0].text() == "slave");
    CHECK(code_from([&] { db.set("a", 1); }) == errc::read_only);
    db.replicaof_no_one();
    db.slaveof("127.0.0.1", master.port());
    CHECK(db.role()[0].text() == "slave");
    db.replicaof_no_one();
    CHECK(db.role()[0].text() == "master");
}

OURO_TEST_DOOR("modules are listed, and those that are not there not loaded") {
    CHECK(db.module_list().size() == 0);
    CHECK(code_from([&] { db.module_load("/no/such.so", {"a", "b"}); }) == errc::server_error);
    CHECK(code_from([&] {
              db.module_loadex("/no/such.so", {.name = "a", .setting = "b", .arguments = {"c"}});
          }) == errc::server_error);
    CHECK(code_from([&] { db.module_unload("nothing"); }) == errc::server_error);
}

OURO_TEST_DOOR("messages are published, and listeners counted") {
    const auto silent = [&] { return db.pubsub_channels().empty() && db.pubsub_numpat() == 0; };
    ouro::eventually("those who listened before have gone", silent);
    CHECK(db.publish("news", "hello") == 0);
    CHECK(db.spublish("nobody", 5) == 0);
    plain_door listener(shared_server(), 3);
    listener.send(command(verb::subscribe, {arg("news")}));
    CHECK(listener.receive<std::tuple<std::string, std::string, int>>() ==
          std::tuple("subscribe", "news", 1));
    listener.send(command(verb::ssubscribe, {arg("shard")}));
    CHECK(listener.receive<texts>().at(0) == "ssubscribe");
    listener.send(command(verb::psubscribe, {arg("n*")}));
    CHECK(listener.receive<texts>().at(0) == "psubscribe");
    CHECK(db.publish("news", "hello") == 2);
    CHECK(listener.receive<texts>() == texts{"message", "news", "hello"});
    CHECK(listener.receive<texts>() == texts{"pmessage", "n*", "news", "hello"});
    CHECK(db.spublish("shard", 5) == 1);
    CHECK(db.pubsub_channels() == texts{"news"});
    CHECK(db.pubsub_channels("x*").empty());
    CHECK(db.pubsub_numpat() == 1);
    CHECK(db.pubsub_numsub({"news", "other"}).at("news") == 1);
    CHECK(db.pubsub_numsub<std::map<std::string, int>>("other").at("other") == 0);
    CHECK(db.pubsub_shardchannels() == texts{"shard"});
    CHECK(db.pubsub_shardnumsub("shard").at("shard") == 1);
}

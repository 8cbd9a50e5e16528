// The Redis client with each of its allocations failing in turn, on the real reactors. The servers
// are others' memory: a process, or a thread.

#include <ouro/tests/fail_every_allocation.hpp>

#include "real_client.hpp"
#include <ouro/kv/redis/cache.hpp>
#include <ouro/kv/redis/scan.hpp>
#include <ouro/kv/redis/script.hpp>
#include <ouro/kv/redis/sentinel.hpp>
#include <ouro/kv/redis/testing/fake_server.hpp>
#include <ouro/kv/redis/watch.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sync/shared_channel.hpp>

#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::client;
using text = std::optional<std::string>;

namespace {

const std::string long_value(300, 'v');

/// Comes back at once when a connection was lost.
redis::client_options quickly() {
    redis::client_options options;
    options.link.backoff.first = 200us;
    options.link.backoff.ceiling = 1ms;
    return options;
}

/// A client of the real server, which has a few keys and has been used.
task<client> warm_client() {
    client db = co_await client::connect(url_of(shared_redis()), quickly());
    co_await db.set("short", "s");
    co_await db.set("long", long_value);
    co_await db.del("count");
    co_await db.get("long");
    co_return db;
}

/// Whatever happened to the others, everybody is answered again.
task<> expect_alive(client& db) {
    end_shortage();
    const text got = co_await db.get("long");
    expect(got == long_value, "another value");
    co_await db.close();
}

/// Runs a part of a scenario: its failure is kept, so that what comes behind it is tried, too.
class attempt {
public:
    task<> run(task<> part) {
        try {
            co_await std::move(part);
        } catch (const std::bad_alloc&) {
            keep(std::make_error_code(std::errc::not_enough_memory));
        } catch (const std::system_error& error) {
            keep(error.code());
        }
    }
    /// Throws what the first failure was.
    void check() const {
        if (why_) throw_error(why_);
    }

private:
    void keep(std::error_code why) {
        if (!why_ || is_want_of_memory(why_)) why_ = why;
    }
    std::error_code why_;
};

/// Uses a client that was used before, from when on memory is short.
template <task<> (*use)(client&)>
task<> short_of_memory() {
    client db = co_await warm_client();
    begin_shortage();
    attempt one;
    co_await one.run(use(db));
    co_await expect_alive(db);
    one.check();
}

task<> open_and_ask() {
    begin_shortage();
    client db = co_await client::connect(url_of(shared_redis()), quickly());
    const bool set = co_await db.set("short", "s");
    expect(set, "not set");
    co_await db.close();
}

task<> ask_for(client& db, std::string key, std::string value) {
    for (int i = 0; i < 3; ++i) {
        const text got = co_await db.get(key);
        expect(got == value, "another's value");
    }
}

/// Three tasks on one connection.
task<> share_a_connection() {
    client db = co_await warm_client();
    begin_shortage();
    attempt one, two, three;
    auto body = [&](scope& tasks) -> task<> {
        tasks.spawn(one.run(ask_for(db, "short", "s")));
        tasks.spawn(two.run(ask_for(db, "long", long_value)));
        tasks.spawn(three.run(ask_for(db, "long", long_value)));
        co_return;
    };
    attempt all;
    co_await all.run(with_scope(body));
    co_await expect_alive(db);
    for (const attempt* each : {&all, &one, &two, &three}) each->check();
}

task<> use_many_types(client& db) {
    co_await db.hset("hash", {{"a", "1"}, {"b", long_value}});
    const auto fields = co_await db.hgetall("hash");
    expect(fields.size() == 2, "other fields");
    const std::vector<text> several = co_await db.mget({"short", "long", "none"});
    expect(several[1] == long_value && !several[2], "other values");
    co_await db.del("list");
    co_await db.rpush("list", {"a", "b", "c"});
    const std::vector<std::string> all = co_await db.lrange("list", 0, -1);
    expect(all.size() == 3, "another list");
    const redis::reply raw = co_await db.command("LRANGE", {"list", "0", "-1"});
    expect(raw.size() == 3, "another list");
}

task<> set_much(client& db) {
    const std::string value(40'000, 'm');
    co_await db.set("large", value);
    const text got = co_await db.get("large");
    expect(got == value, "another value");
}

task<> batch(client& db) {
    auto queued = db.pipeline();
    auto a = queued.get("short");
    auto b = queued.get<std::string_view>("long");
    auto c = queued.incr("count");
    co_await queued.exec();
    expect(a.get() == "s" && b.get() == long_value && c.get() == 1, "other values");
}

task<> transact(client& db) {
    auto queued = db.transaction();
    auto a = queued.get("long");
    auto b = queued.incr("count");
    co_await queued.exec();
    expect(a.get() == long_value && b.get() == 1, "other values");
}

task<> watch_and_lease(client& db) {
    auto body = [](redis::connection& seen, redis::transaction& queued) -> task<> {
        const text now = co_await seen.get("short");
        queued.set("copy", *now);
    };
    co_await redis::with_watch(db, {"short"}, body);
    co_await db.rpush("list", {"a"});
    const auto popped = co_await db.blpop("list", 1s);
    expect(popped.has_value(), "nothing popped");
}

task<> run_scripts(client& db) {
    redis::script twice("return ARGV[1] * 2");
    const int four = co_await twice.run<int>(db, "short", 2);
    expect(four == 4, "another number");
    auto keys = redis::scan(db, {.match = std::string("l*"), .count = 100});
    std::size_t found = 0;
    while (auto key = co_await keys.next()) ++found;
    expect(found >= 1, "no key");
}

task<> hear(client& db) {
    auto sub = db.subscriber();
    co_await sub.subscribe("news", "others");
    co_await sub.psubscribe("n*x");
    co_await db.publish("news", long_value);
    const std::optional<redis::message> got = co_await sub.next();
    if (got && got->kind() == redis::message_kind::dropped) throw std::bad_alloc();
    expect(got && got->payload() == long_value, "another message");
    co_await sub.unsubscribe("others");
    co_await sub.close();
}

task<> look_twice(client& db) {
    redis::cache near = co_await redis::cache::on(db);
    for (int i = 0; i < 2; ++i) {
        const auto got = co_await near.get("long");
        expect(got == long_value, "another value");
    }
    const auto many = co_await near.mget({"short", "long"});
    expect(many.size() == 2, "other values");
    co_await near.close();
}

// Sentinels: a master and the one that knows it, on a thread of their own.

class fake_group {
public:
    fake_group() : thread_([this] { block_on(serve()); }) { name_ = ready_.get_future().get(); }
    ~fake_group() {
        over_.close();
        thread_.join();
    }
    const std::string& name() const noexcept { return name_; }

private:
    static std::string as_master(const words_said& said, fake_caller&) {
        if (said[0] == "ROLE") return "*1\r\n" + bulk("master");
        if (said[0] == "PING") return said.size() > 1 ? bulk(said[1]) : "+PONG\r\n";
        if (said[0] == "GET") return bulk(long_value);
        return "+OK\r\n";
    }

    task<> serve() {
        fake_server master(as_master);
        const std::string port = std::to_string(master.port());
        auto as_sentinel = [&port](const words_said& said, fake_caller&) -> std::string {
            if (said[0] == "SUBSCRIBE")
                return ">3\r\n" + bulk("subscribe") + bulk(said[1]) + ":1\r\n";
            if (said[0] == "PING") return said.size() > 1 ? bulk(said[1]) : "+PONG\r\n";
            if (said[1] == "GET-MASTER-ADDR-BY-NAME")
                return "*2\r\n" + bulk("127.0.0.1") + bulk(port);
            if (said[1] == "MASTER") return "%1\r\n" + bulk("config-epoch") + bulk("1");
            return "*0\r\n";
        };
        fake_server sentinel(as_sentinel);
        ready_.set_value("127.0.0.1:" + std::to_string(sentinel.port()));
        co_await over_.recv();
    }

    std::promise<std::string> ready_;
    std::string name_;
    shared_channel<bool> over_{0};
    std::thread thread_;
};

const std::string& sentinel_name() {
    static fake_group one;
    return one.name();
}

task<> ask_a_master() {
    const std::string& name = sentinel_name();
    begin_shortage();
    redis::sentinel_options options;
    options.client = quickly();
    options.between_rounds = options.client.link.backoff;
    auto db = co_await redis::sentinel_client::connect({name}, "mymaster", options);
    co_await db.set("k", "v");
    const text got = co_await db.get("k");
    expect(got == long_value, "another value");
    co_await db.close();
}

const work clients[] = {
    {"connect", open_and_ask, 50},
    {"tasks that share a connection", share_a_connection, 5},
    {"hashes, lists, raw replies", short_of_memory<use_many_types>, 10},
    {"a large value", short_of_memory<set_much>, 3},
    {"pipeline", short_of_memory<batch>, 5},
    {"transaction", short_of_memory<transact>, 5},
    {"WATCH, blocking commands", short_of_memory<watch_and_lease>, 50},
    {"script, scan", short_of_memory<run_scripts>, 5},
};

const work others[] = {
    {"subscriber", short_of_memory<hear>, 10},
    {"cache", short_of_memory<look_twice>, 20},
};

const work guided[] = {
    {"sentinel", ask_a_master, 50},
};

}  // namespace

TEST_CASE("commands, pipelines and leases survive any failed allocation") {
    shared_redis();  // ends with the thread that starts it
    check_every_allocation(clients);
}
TEST_CASE("subscribers and caches survive any failed allocation") {
    shared_redis();
    check_every_allocation(others);
}
TEST_CASE("a sentinel's client survives any failed allocation") {
    sentinel_name();
    check_every_allocation(guided);
}

// The client of a Redis cluster with each of its allocations failing in turn, on the real reactors.
// The nodes are on a thread of their own.

#include <ouro/tests/fail_every_allocation.hpp>

#include <ouro/kv/redis/cluster.hpp>
#include <ouro/kv/redis/testing/fake_cluster.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/sync/shared_channel.hpp>

#include <future>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using namespace std::chrono_literals;
using redis::cluster;
using text = std::optional<std::string>;

namespace {

/// Two nodes; the slot of "moved" is on its way from one to the other.
class cluster_thread {
public:
    cluster_thread() : thread_([this] { block_on(serve()); }) { url_ = ready_.get_future().get(); }
    ~cluster_thread() {
        over_.close();
        thread_.join();
    }
    const std::string& url() const noexcept { return url_; }

private:
    task<> serve() {
        fake_cluster nodes(2);
        nodes.begin_move("moved", 1 - nodes.owner_of("moved").number());
        ready_.set_value(nodes.url());
        co_await over_.recv();
    }

    std::promise<std::string> ready_;
    std::string url_;
    shared_channel<bool> over_{0};
    std::thread thread_;
};

const std::string& url_of_cluster() {
    static cluster_thread nodes;
    return nodes.url();
}

redis::cluster_options quickly() {
    redis::cluster_options options;
    options.link.backoff.first = options.retry.first = 200us;
    options.link.backoff.ceiling = options.retry.ceiling = 1ms;
    return options;
}

const std::string long_value(300, 'v');

task<cluster> warm_cluster() {
    cluster db = co_await cluster::connect(url_of_cluster(), quickly());
    for (const char* key : {"a", "b", "c", "moved"}) co_await db.set(key, long_value);
    co_return db;
}

/// Runs a part of a scenario, and then looks whether everybody is answered again.
task<> try_and_go_on(cluster& db, task<> part) {
    std::error_code why;
    try {
        co_await std::move(part);
    } catch (const std::bad_alloc&) {
        why = std::make_error_code(std::errc::not_enough_memory);
    } catch (const std::system_error& error) {
        why = error.code();
    }
    end_shortage();
    for (const char* key : {"a", "b", "c"}) {
        const text got = co_await db.get(key);
        expect(got == long_value, "another value");
    }
    co_await db.close();
    if (why) throw_error(why);
}

task<> open_and_ask() {
    const std::string& url = url_of_cluster();
    begin_shortage();
    cluster db = co_await cluster::connect(url, quickly());
    co_await db.set("a", long_value);
    co_await db.close();
}

task<> ask(cluster& db) {
    for (const char* key : {"a", "b", "c", "moved"}) {
        co_await db.set(key, long_value);
        const text got = co_await db.get(key);
        expect(got == long_value, "another value");
    }
    const std::vector<text> all = co_await db.mget({"a", "b", "none"});
    expect(all[0] == long_value && !all[2], "other values");
}
task<> commands() {
    cluster db = co_await warm_cluster();
    begin_shortage();
    co_await try_and_go_on(db, ask(db));
}

task<> batch(cluster& db) {
    auto queued = db.pipeline();
    auto a = queued.get("a");
    auto b = queued.get("moved");
    auto c = queued.mget({"b", "c"});
    co_await queued.exec();
    expect(a.get() == long_value && b.get() == long_value && c.get()[1] == long_value,
           "other values");
}
task<> pipelines() {
    cluster db = co_await warm_cluster();
    begin_shortage();
    co_await try_and_go_on(db, batch(db));
}

task<> transact(cluster& db) {
    auto queued = db.transaction();
    queued.set("{t}a", 1);
    auto b = queued.incr("{t}a");
    co_await queued.exec();
    expect(b.get() == 2, "another number");
}
task<> transactions() {
    cluster db = co_await warm_cluster();
    begin_shortage();
    co_await try_and_go_on(db, transact(db));
}

task<> refresh(cluster& db) {
    const bool known = co_await db.refresh();
    expect(known, "no table");
}
task<> refreshes() {
    cluster db = co_await warm_cluster();
    begin_shortage();
    co_await try_and_go_on(db, refresh(db));
}

task<> listen(cluster& db) {
    auto sub = db.subscriber();
    co_await sub.ssubscribe("a", "b");
    for (std::uint64_t heard = 0; heard < 2;) {
        const std::optional<redis::message> got = co_await sub.next();
        expect(got.has_value(), "no message");
        if (got->is_published()) ++heard;
        if (got->kind() == redis::message_kind::dropped) heard += got->count();  // no memory for it
    }
    co_await sub.sunsubscribe("a");
    expect(sub.topics() == 1, "not unsubscribed");
    co_await sub.close();
}
task<> shard_channels() {
    cluster db = co_await warm_cluster();
    begin_shortage();
    co_await try_and_go_on(db, listen(db));
}

const work works[] = {
    {"connect", open_and_ask, 50}, {"commands, redirected ones too", commands, 5},
    {"pipeline", pipelines, 10},   {"transaction", transactions, 5},
    {"refresh", refreshes, 5},     {"shard channels", shard_channels, 20},
};

}  // namespace

TEST_CASE("a cluster's client survives any failed allocation") {
    url_of_cluster();
    check_every_allocation(works);
}

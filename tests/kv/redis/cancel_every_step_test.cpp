// Clients of Redis and of its clusters cancelled at every step, beside others who must not notice.

#include <ouro/tests/cancel_every_step.hpp>

#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/cluster.hpp>
#include <ouro/kv/redis/testing/fake_cluster.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/tests/kv/beside_others.hpp>

#include <optional>
#include <string>
#include <vector>

using namespace ouro;
using namespace ouro::testing;
using redis::client;
using redis::cluster;
using text = std::optional<std::string>;

namespace {

task<> on_a_server(task<> (*make)(client&)) {
    fake_cluster nodes(1);
    const std::string url = nodes.url();
    auto connecting = client::connect(url);
    client db = co_await shield(std::move(connecting));
    co_await beside_others(db, make);
}

task<> on_a_cluster(task<> (*make)(cluster&)) {
    fake_cluster nodes(2);
    nodes.begin_move("moved", 1 - nodes.owner_of("moved").number());
    const std::string url = nodes.url();
    auto connecting = cluster::connect(url);
    cluster db = co_await shield(std::move(connecting));
    co_await beside_others(db, make);
}

template <class Db>
task<> commands(Db& db) {
    for (const char* key : {"a", "moved"}) {
        co_await db.set(key, key);
        const text got = co_await db.get(key);
        expect(got == key, "another value");
    }
    const std::vector<text> all = co_await db.mget({"a", "none"});
    expect(all[0] == "a" && !all[1], "other values");
}

template <class Db>
task<> batch(Db& db) {
    auto queued = db.pipeline();
    queued.set("a", "1");
    auto a = queued.get("a");
    queued.get("moved");
    co_await queued.exec();
    expect(a.get() == "1", "another value");
}

template <class Db>
task<> transact(Db& db) {
    auto queued = db.transaction();
    queued.set("{t}a", 1);
    auto b = queued.incr("{t}a");
    co_await queued.exec();
    expect(b.get() == 2, "another number");
}

task<> lease(client& db) {
    auto mine = co_await db.lease();
    co_await mine->set("leased", "1");
    const text got = co_await mine->get("leased");
    expect(got == "1", "another value");
}

task<> refresh(cluster& db) {
    const bool known = co_await db.refresh();
    expect(known, "no table");
}

task<> listen(cluster& db) {
    auto sub = db.subscriber();
    co_await sub.ssubscribe("a", "b", "moved");
    for (int i = 0; i < 3; ++i) {
        const std::optional<redis::message> got = co_await sub.next();
        expect(got && got->payload() == "hello", "no message");
    }
    co_await sub.sunsubscribe("a");
    expect(sub.topics() == 2, "not unsubscribed");
    co_await sub.close();
}

task<> client_commands() { return on_a_server(commands<client>); }
task<> client_pipeline() { return on_a_server(batch<client>); }
task<> client_transaction() { return on_a_server(transact<client>); }
task<> client_lease() { return on_a_server(lease); }
task<> cluster_commands() { return on_a_cluster(commands<cluster>); }
task<> cluster_pipelines() { return on_a_cluster(batch<cluster>); }
task<> cluster_transactions() { return on_a_cluster(transact<cluster>); }
task<> cluster_refresh() { return on_a_cluster(refresh); }
task<> cluster_pubsub() { return on_a_cluster(listen); }

task<> connect_and_close() {
    fake_cluster nodes(2);
    const std::string url = nodes.url();
    cluster db = co_await cluster::connect(url);
    co_await db.close();
}

const work clients[] = {
    {"commands", client_commands},
    {"pipeline", client_pipeline},
    {"transaction", client_transaction},
    {"lease", client_lease},
};

const work clusters[] = {
    {"connect, close", connect_and_close}, {"commands, redirected ones too", cluster_commands},
    {"pipeline", cluster_pipelines},       {"transaction", cluster_transactions},
    {"refresh", cluster_refresh},          {"shard channels", cluster_pubsub},
};

}  // namespace

TEST_CASE("a client can be cancelled at every step, and nobody else notices") {
    check_every_step(clients, sweep_on::sim_once);
}
TEST_CASE("a cluster's client can be cancelled at every step, and nobody else notices") {
    check_every_step(clusters, sweep_on::sim_once);
}

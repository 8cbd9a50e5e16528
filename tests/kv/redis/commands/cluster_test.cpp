#include <ouro/kv/redis/commands/cluster.hpp>

#include <ouro/tests/kv/redis/plain_door.hpp>

#include <doctest/doctest.h>

using namespace ouro::redis;

using texts = std::vector<std::string>;

namespace {

bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

// A node that serves all slots.
void serve_all(plain_door& db) {
    db.cluster_addslotsrange({{0, 16383}});
    const auto ready = [&] { return has(db.cluster_info(), "cluster_state:ok"); };
    ouro::eventually("the cluster is up", ready);
}

}  // namespace

TEST_CASE("a node's slots are given and taken") {
    for (const int protocol : {2, 3}) {
        const ouro::redis_server server({.cluster = true});
        plain_door db(server, protocol);
        db.cluster_addslots({1, 2, 3});
        CHECK(code_from([&] { db.cluster_addslots(1); }) == errc::server_error);
        db.cluster_delslots({1, 2});
        db.cluster_delslotsrange({{3, 3}});
        serve_all(db);
        CHECK(db.cluster_keyslot("foo") == 12182);
        CHECK(db.cluster_keyslot("{foo}bar") == 12182);
        db.set("foo", 1);
        db.set("{foo}bar", 2);
        CHECK(db.cluster_countkeysinslot(12182) == 2);
        CHECK(db.cluster_getkeysinslot(12182, 1).size() == 1);
        CHECK(db.cluster_shards().size() == 1);
        CHECK(db.cluster_slots().size() == 1);
        db.cluster_saveconfig();
        db.cluster_setslot(5, slot_state::stable);
        CHECK(code_from([&] { db.cluster_flushslots(); }) == errc::server_error);
        db.flushall();
        db.cluster_flushslots();
        db.cluster_reset();
        db.cluster_set_config_epoch(7);
        db.cluster_reset(true);
    }
}

TEST_CASE("nodes get to know each other") {
    for (const int protocol : {2, 3}) {
        const ouro::redis_server first({.cluster = true}), second({.cluster = true});
        plain_door db(first, protocol), other(second, protocol);
        const std::string me = db.cluster_myid(), they = other.cluster_myid();
        CHECK(me.size() == 40);
        CHECK(me != they);
        serve_all(db);
        db.cluster_meet("127.0.0.1", second.port());
        ouro::eventually("both know each other", [&] {
            return has(other.cluster_nodes(), me + " 127.0.0.1") &&
                   has(db.cluster_nodes(), they + " 127.0.0.1");
        });
        CHECK(db.cluster_links().size() > 0);
        CHECK(db.cluster_count_failure_reports(they) == 0);
        CHECK_FALSE(db.cluster_bumpepoch().empty());
        db.cluster_setslot(7, slot_state::migrating, they);
        db.cluster_setslot(7, slot_state::stable);
        CHECK(code_from([&] { db.cluster_setslot(7, slot_state::importing, they); }) ==
              errc::server_error);
        db.cluster_setslot(8, slot_state::node, they);
        CHECK(db.cluster_replicas(me).empty());
        CHECK(db.cluster_slaves(me).empty());
        ouro::eventually("the other one follows",
                         [&] { return !code_from([&] { other.cluster_replicate(me); }); });
        CHECK(code_from([&] { db.cluster_failover(); }) == errc::server_error);
        CHECK(code_from([&] { db.cluster_failover(failover_kind::force); }) == errc::server_error);
        CHECK(code_from([&] { db.cluster_failover(failover_kind::takeover); }) ==
              errc::server_error);
        db.cluster_forget(they);
        CHECK_FALSE(has(db.cluster_nodes(), they));
    }
}

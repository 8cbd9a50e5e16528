// MULTI, EXEC, DISCARD and WATCH as the server has them, said by hand on a leased connection.
#include <ouro/kv/redis/client.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/redis/real_client.hpp>

#include <string>

using namespace ouro;
using namespace ouro::testing;
using redis::client;
using redis::connection;

namespace {

task<std::string> say(connection& mine, std::string name) {
    co_return co_await mine.command<std::string>(name);
}

OURO_TEST_REAL("commands are queued, and EXEC answers for all of them") {
    client db = co_await fresh_client();
    auto mine = co_await db.lease();
    CHECK(co_await say(*mine, "MULTI") == "OK");
    CHECK(co_await say(*mine, "SET a 1") == "QUEUED");
    CHECK(co_await say(*mine, "INCR a") == "QUEUED");
    CHECK(co_await db.get("a") == std::nullopt);
    const redis::reply all = co_await mine->command("EXEC");
    REQUIRE(all.size() == 2);
    CHECK(all[0].text() == "OK");
    CHECK(all[1].integer() == 2);
    CHECK(co_await db.get("a") == "2");
    mine.release();
    co_await db.close();
}

OURO_TEST_REAL("an empty transaction has an empty answer") {
    client db = co_await fresh_client();
    auto mine = co_await db.lease();
    co_await mine->command("MULTI");
    const redis::reply all = co_await mine->command("EXEC");
    CHECK(all.kind() == redis::type::array);
    CHECK(all.size() == 0);
    mine.release();
    co_await db.close();
}

OURO_TEST_REAL("DISCARD forgets what was queued") {
    client db = co_await fresh_client();
    auto mine = co_await db.lease();
    co_await mine->command("MULTI");
    co_await mine->command("SET a 1");
    CHECK(co_await say(*mine, "DISCARD") == "OK");
    CHECK(co_await db.exists("a") == 0);
    const failure without = co_await failure_of(mine->command("EXEC"));
    CHECK(without.words == "ERR EXEC without MULTI");
    const failure again = co_await failure_of(mine->command("DISCARD"));
    CHECK(again.words == "ERR DISCARD without MULTI");
    mine.release();
    co_await db.close();
}

OURO_TEST_REAL("MULTI in MULTI and WATCH in MULTI are refused, and the transaction goes on") {
    client db = co_await fresh_client();
    auto mine = co_await db.lease();
    co_await mine->command("MULTI");
    const failure nested = co_await failure_of(mine->command("MULTI"));
    CHECK(nested.words == "ERR MULTI calls can not be nested");
    const failure watch = co_await failure_of(mine->command("WATCH", "a"));
    CHECK(watch.words == "ERR WATCH inside MULTI is not allowed");
    co_await mine->command("SET a 1");
    const redis::reply all = co_await mine->command("EXEC");
    CHECK(all.size() == 1);
    mine.release();
    co_await db.close();
}

OURO_TEST_REAL("a command refused while queueing makes EXEC answer EXECABORT") {
    client db = co_await fresh_client();
    auto mine = co_await db.lease();
    co_await mine->command("MULTI");
    const failure unknown = co_await failure_of(mine->command("NO-SUCH-COMMAND"));
    CHECK(unknown.code == redis::errc::unknown_command);
    co_await mine->command("SET a 1");
    const failure aborted = co_await failure_of(mine->command("EXEC"));
    CHECK(aborted.code == redis::errc::exec_aborted);
    CHECK(aborted.words == "EXECABORT Transaction discarded because of previous errors.");
    CHECK(co_await db.exists("a") == 0);
    mine.release();
    co_await db.close();
}

OURO_TEST_REAL("a command that fails inside has its error in EXEC's answer") {
    client db = co_await fresh_client();
    auto mine = co_await db.lease();
    co_await mine->command("MULTI");
    co_await mine->command("SET a text");
    co_await mine->command("LPOP a");
    co_await mine->command("SET b 1");
    const redis::reply all = co_await mine->command("EXEC");
    REQUIRE(all.size() == 3);
    CHECK(all[0].text() == "OK");
    CHECK(all[1].is_error());
    CHECK(all[1].text().starts_with("WRONGTYPE"));
    CHECK(all[2].text() == "OK");
    CHECK(co_await db.get("b") == "1");
    mine.release();
    co_await db.close();
}

OURO_TEST_REAL("a watched key that changed, appeared or expired makes EXEC answer null") {
    client db = co_await fresh_client();
    auto mine = co_await db.lease();
    co_await db.set("a", 1);
    co_await mine->watch({"a", "new"});
    co_await db.set("new", 1);
    co_await mine->command("MULTI");
    co_await mine->command("SET b 1");
    CHECK((co_await mine->command("EXEC")).is_null());
    CHECK(co_await db.exists("b") == 0);
    // The same after UNWATCH is none.
    co_await mine->watch("a");
    co_await db.set("a", 2);
    co_await mine->unwatch();
    co_await mine->command("MULTI");
    co_await mine->command("SET b 1");
    CHECK((co_await mine->command("EXEC")).size() == 1);
    mine.release();
    co_await db.close();
}

OURO_TEST_REAL("what nobody changed is no conflict, and one's own change is one") {
    client db = co_await fresh_client();
    auto mine = co_await db.lease();
    co_await mine->watch("a");
    co_await db.get("a");
    auto tx = mine->transaction();
    tx.set("a", 1);
    co_await tx.exec();
    co_await mine->watch("a");
    co_await mine->set("a", 2);  // outside of the transaction
    const failure own = co_await failure_of(tx.exec());
    CHECK(own.code == redis::errc::conflict);
    CHECK(co_await db.get("a") == "2");
    mine.release();
    co_await db.close();
}

OURO_TEST_REAL("a lease that ends inside MULTI leaves nothing behind") {
    client db = co_await fresh_client();
    {
        auto mine = co_await db.lease();
        co_await mine->command("MULTI");
        co_await mine->command("SET a 1");
    }
    auto next = co_await db.lease();
    CHECK(co_await next->get("a") == std::nullopt);
    next.release();
    co_await db.close();
}

OURO_TEST_REAL("scripts run as one, and their writes are seen at once") {
    client db = co_await fresh_client();
    const auto moved = co_await db.eval<std::vector<int>>(
        "redis.call('set', KEYS[1], ARGV[1]); return {redis.call('incr', KEYS[1]), 7}", "a", 41);
    CHECK(moved == std::vector<int>{42, 7});
    CHECK(co_await db.get("a") == "42");
    co_await db.close();
}

}  // namespace

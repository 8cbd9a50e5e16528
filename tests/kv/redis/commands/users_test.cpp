#include <ouro/kv/redis/commands/acl.hpp>
#include <ouro/kv/redis/commands/connection.hpp>
#include <ouro/tests/kv/redis/plain_door.hpp>

#include <doctest/doctest.h>

#include <algorithm>

using namespace ouro::redis;
using namespace std::chrono_literals;

using texts = std::vector<std::string>;

namespace {

bool has(const texts& all, std::string_view wanted) {
    return std::find(all.begin(), all.end(), wanted) != all.end();
}

}  // namespace

OURO_TEST_DOOR("users are made, asked about and removed") {
    CHECK(has(db.acl_cat(), "read"));
    CHECK(has(db.acl_cat("hyperloglog"), "pfcount"));
    CHECK(db.acl_whoami() == "default");
    CHECK(db.acl_genpass().size() == 64);
    CHECK(db.acl_genpass(8).size() == 2);
    db.acl_setuser("alice", {"on", ">secret", "~cache:*", "+@read"});
    db.acl_setuser("bob");
    CHECK(has(db.acl_users(), "alice"));
    CHECK(db.acl_list().size() == 3);
    CHECK(db.acl_getuser("alice").size() > 0);
    CHECK(db.acl_getuser("nobody").is_null());
    CHECK(db.acl_dryrun("alice", {"GET", "cache:1"}) == "OK");
    CHECK(db.acl_dryrun("alice", {"SET", "cache:1", 5}).find("no permissions") !=
          std::string::npos);
    CHECK(db.acl_deluser({"alice", "bob", "nobody"}) == 2);
    CHECK(code_from([&] { db.acl_setuser("x", "nonsense"); }) == errc::server_error);
}

OURO_TEST_DOOR("what was refused is kept") {
    db.acl_log_reset();
    CHECK(db.acl_log().size() == 0);
    CHECK(code_from([&] { db.any({"AUTH", "nobody", "wrong"}); }) == errc::wrong_password);
    CHECK(db.acl_log(5).size() == 1);
    db.acl_log_reset();
}

TEST_CASE("users are kept in a file") {
    const ouro::redis_server server(
        {.acl = {"user default on nopass ~* &* +@all", "user alice on >secret ~* +@all"}});
    plain_door db(server, 3);
    CHECK(db.acl_deluser("alice") == 1);
    db.acl_load();
    CHECK(has(db.acl_users(), "alice"));
    db.acl_setuser("bob", "on");
    db.acl_save();
    db.acl_load();
    CHECK(has(db.acl_users(), "bob"));
}

OURO_TEST_DOOR("a connection is known to the server") {
    CHECK_FALSE(db.client_getname());
    db.any({"CLIENT", "SETNAME", "me"});
    CHECK(db.client_getname() == "me");
    CHECK(db.client_getredir() == -1);
    const std::int64_t id = db.client_id();
    CHECK(db.client_info().starts_with("id=" + std::to_string(id)));
    CHECK(db.client_list().find("name=me") != std::string::npos);
    CHECK(db.client_list({.type = "normal"}).find("name=me") != std::string::npos);
    CHECK(db.client_list({.ids = {id, 0}}).find("name=me") != std::string::npos);
    CHECK(db.client_list({.ids = {0}}).empty());
    CHECK(db.client_trackinginfo().size() > 0);
    CHECK(db.echo("text") == "text");
    CHECK(db.echo<int>(5) == 5);
    db.ping();
}

OURO_TEST_DOOR("connections are ended") {
    plain_door other(shared_server(), 2);
    const std::int64_t id = other.client_id();
    CHECK(db.client_kill({.id = id, .type = "pubsub"}) == 0);
    CHECK(code_from([&] { db.client_kill({.user = "nobody"}); }) == errc::server_error);
    CHECK(db.client_kill({.id = id, .type = "normal", .user = "default"}) == 1);
    CHECK_THROWS(other.ping());
    CHECK(db.client_kill(
              {.address = "127.0.0.1:1", .local_address = "127.0.0.1:1", .skip_me = false}) == 0);
}

OURO_TEST_DOOR("what waits is ended from elsewhere") {
    plain_door other(shared_server(), 3);
    const std::int64_t id = other.client_id();
    CHECK_FALSE(db.client_unblock(id));
    const auto ended = [&](bool with_error) {
        arg_list waiting;
        waiting.add("nothing", 0);
        other.send(command(verb::blpop, waiting));
        ouro::eventually("it was ended", [&] { return db.client_unblock(id, with_error); });
        return code_from([&] { other.receive<std::optional<texts>>(); });
    };
    CHECK_FALSE(ended(false));
    CHECK(ended(true) == errc::unblocked);
}

OURO_TEST_DOOR("a server pauses and goes on") {
    db.client_pause(1h, true);
    db.ping();
    db.client_unpause();
    db.set("a", 1);
    db.client_pause(1ms);
    db.ping();
    db.client_unpause();
}

#include <ouro/tests/kv/servers.hpp>

#include <ouro/net/connect.hpp>
#include <ouro/net/stream.hpp>
#include <ouro/tests/dies.hpp>
#include <ouro/tests/kv/real.hpp>
#include <ouro/tests/kv/redis_groups.hpp>

#include <array>
#include <csignal>
#include <set>
#include <span>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

bool is_gone(pid_t pid) { return ::kill(pid, 0) < 0 && errno == ESRCH; }

std::string failure_of(const std::function<void()>& act) {
    try {
        act();
        return "";
    } catch (const std::exception& error) {
        return error.what();
    }
}

// --- one server -------------------------------------------------------------------------------

TEST_CASE("a redis-server answers, and is gone with its fixture") {
    pid_t pid = 0;
    std::string socket;
    {
        redis_server redis;
        pid = redis.pid();
        socket = redis.unix_path();
        CHECK(redis.port() != 6379);
        CHECK(redis.call({"SET", "key", "a value\r\nof two lines"}) == "OK");
        CHECK(redis.call({"GET", "key"}) == "a value\r\nof two lines");
        CHECK(redis.call({"GET", "nothing"}) == "(nil)");
        CHECK(redis.call({"RPUSH", "list", "a", "b"}) == "2");
        CHECK(redis.call({"LRANGE", "list", "0", "-1"}) == "a\nb");
        CHECK(redis.call({"GET", "list"}).starts_with("(error) WRONGTYPE"));
        CHECK(redis.call({"DEBUG", "SLEEP", "0"}) == "OK");
    }
    CHECK(is_gone(pid));
    CHECK(!std::filesystem::exists(std::filesystem::path(socket).parent_path()));
}

TEST_CASE("servers have ports of their own") {
    std::set<std::uint16_t> ports;
    std::vector<std::unique_ptr<redis_server>> servers;
    for (int i = 0; i < 5; ++i) {
        servers.push_back(std::make_unique<redis_server>());
        ports.insert(servers.back()->port());
    }
    CHECK(ports.size() == 5);
}

TEST_CASE("a redis-server has a password, users, a Unix socket and whatever its lines say") {
    redis_server redis(
        {.password = "secret", .config = {"maxclients 7", "databases 3"}, .unix_socket = true});
    CHECK(redis.call({"CONFIG", "GET", "maxclients"}) == "maxclients\n7");
    CHECK(redis.call({"CONFIG", "GET", "databases"}) == "databases\n3");
    blocking_socket connection(redis.unix_path());
    connection.send("PING\r\n");
    CHECK(connection.line().starts_with("-NOAUTH"));
    connection.send("AUTH secret\r\n");
    CHECK(connection.line() == "+OK\r\n");

    redis_server users({.acl = {"user default off", "user alice on >wonder ~a* +@all"}});
    CHECK(users.call({"PING"}).starts_with("(error) NOAUTH"));
    blocking_socket alice(users.port());
    alice.send("AUTH alice wonder\r\nSET ab 1\r\nSET b 1\r\n");
    CHECK(alice.line() == "+OK\r\n");
    CHECK(alice.line() == "+OK\r\n");
    CHECK(alice.line().starts_with("-NOPERM"));
}

TEST_CASE("a server that cannot start says why") {
    const std::string why = failure_of([] { redis_server redis({.config = {"nonsense 1"}}); });
    CHECK(why.find("nonsense") != why.npos);
    const std::string missing = failure_of([] {
        const temporary_folder folder;
        child_process process({"no-such-server"}, folder.file("log"));
        eventually("it has ended", [&] { return !process.running(); });
        CHECK(process.exit_code() == 127);
        throw std::runtime_error(tail_of(folder.file("log")));
    });
    CHECK(missing.starts_with("cannot start no-such-server: "));
    const std::string items =
        failure_of([] { memcached_server memcached({.arguments = {"-I", "nonsense"}}); });
    CHECK(items.find("tem max size") != items.npos);
}

TEST_CASE("a killed server is started again on its port, and has forgotten everything") {
    redis_server redis;
    const std::uint16_t port = redis.port();
    CHECK(redis.call({"SET", "a", "1"}) == "OK");
    blocking_socket open(port);
    redis.kill();
    CHECK(!redis.running());
    CHECK(!failure_of([&] { open.line(); }).empty());
    CHECK(!failure_of([&] { redis.call({"PING"}); }).empty());
    redis.restart();
    CHECK(redis.running());
    CHECK(redis.port() == port);
    CHECK(redis.call({"GET", "a"}) == "(nil)");
}

TEST_CASE("a paused server takes bytes and answers when it goes on") {
    redis_server redis;
    blocking_socket connection(redis.port());
    redis.pause();
    connection.send("PING\r\n");
    CHECK(redis.running());
    redis.resume();
    CHECK(connection.line() == "+PONG\r\n");
}

TEST_CASE("a test that crashes leaves no server behind") {
    pid_t pid = 0;
    std::filesystem::path folder;
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const ending how = in_child([&] {
        redis_server redis;
        pid = redis.pid();
        const std::string left = std::to_string(pid) + "\n" + redis.unix_path() + "\n";
        if (::write(ends[1], left.data(), left.size()) < 0) return 1;
        ::raise(SIGKILL);
        return 0;
    });
    CHECK(how.signal == SIGKILL);
    char block[200];
    const ssize_t got = ::read(ends[0], block, sizeof block);
    REQUIRE(got > 0);
    const std::string said(block, static_cast<std::size_t>(got));
    const std::size_t line = said.find('\n');
    pid = static_cast<pid_t>(std::stol(said));
    folder = said.substr(line + 1, said.size() - line - 2);
    std::filesystem::remove_all(folder.parent_path());
    ::close(ends[0]);
    ::close(ends[1]);
    eventually("the orphan is gone", [&] {
        // Whoever adopted it may be slow to bury it; a dead process answers nothing either way.
        std::error_code gone;
        const auto program =
            std::filesystem::read_symlink("/proc/" + std::to_string(pid) + "/exe", gone);
        return is_gone(pid) || gone;
    });
}

TEST_CASE("a memcached answers, and is gone with its fixture") {
    pid_t pid = 0;
    {
        memcached_server memcached({.arguments = {"-m", "8", "-I", "2m"}});
        pid = memcached.pid();
        CHECK(memcached.call("set a 0 0 1\r\nx\r\n") == "STORED\r\n");
        CHECK(memcached.call("get a\r\n", "END") == "VALUE a 0 1\r\nx\r\nEND\r\n");
        const std::string settings = memcached.call("stats settings\r\n", "END");
        CHECK(settings.find("STAT item_size_max 2097152\r\n") != settings.npos);
        memcached.kill();
        CHECK(!failure_of([&] { memcached.call("version\r\n"); }).empty());
        memcached.restart();
        CHECK(memcached.call("get a\r\n", "END") == "END\r\n");
        pid = memcached.pid();
    }
    CHECK(is_gone(pid));
}

TEST_CASE("a memcached has users, a Unix socket, and speaks what it is told to") {
    memcached_server users({.users = {"alice:wonder"}});
    CHECK(users.call("version\r\n") == "CLIENT_ERROR unauthenticated\r\n");
    CHECK(users.call("set auth 0 0 12\r\nalice wonder\r\n") == "STORED\r\n");
    memcached_server local({.unix_socket = true});
    CHECK(local.port() == 0);
    CHECK(local.call("version\r\n").starts_with("VERSION "));
    memcached_server binary({.arguments = {"-B", "binary"}});
    blocking_socket connection(binary.port());
    std::string noop(24, '\0');
    noop[0] = '\x80';
    noop[1] = '\x0a';
    connection.send(noop);
    CHECK(connection.bytes(24)[0] == '\x81');
}

OURO_TEST_REAL("a coroutine talks to a server") {
    static redis_server redis;
    net::stream client = co_await net::connect(net::endpoint("127.0.0.1", redis.port()));
    const std::string ping = "PING\r\n";
    co_await client.send_all(std::as_bytes(std::span(ping)));
    std::array<std::byte, 64> block;
    const std::size_t got = co_await client.recv(block);
    CHECK(got == 7);
}

// --- groups -----------------------------------------------------------------------------------

TEST_CASE("a cluster serves every slot, moves slots and fails over") {
    redis_cluster cluster;
    CHECK(cluster.size() == 6);
    redis_server& owner = cluster.owner_of("key");
    CHECK(owner.call({"SET", "key", "1"}) == "OK");
    CHECK(&cluster.owner(cluster.slot_of("{key}other")) == &owner);

    redis_server* other = nullptr;
    for (const char* key : {"a", "b", "c", "d", "e"})
        if (redis_server& at = cluster.owner_of(key); &at != &owner) other = &at;
    REQUIRE(other != nullptr);
    CHECK(other->call({"GET", "key"}).starts_with("(error) MOVED "));

    const unsigned slot = cluster.slot_of("key");
    cluster.begin_move(slot, *other);
    CHECK(owner.call({"GET", "key"}) == "1");
    CHECK(owner.call({"GET", "{key}nothing"}).starts_with("(error) ASK "));
    CHECK(owner.call({"MGET", "key", "{key}nothing"}).starts_with("(error) TRYAGAIN"));
    cluster.move_key("key", *other);
    CHECK(owner.call({"GET", "key"}).starts_with("(error) ASK "));
    cluster.finish_move(slot, *other);
    CHECK(&cluster.owner_of("key") == other);
    CHECK(other->call({"GET", "key"}) == "1");
    CHECK(other->call({"SET", "key", "2"}) == "OK");
    cluster.move_slot(slot, owner);
    CHECK(owner.call({"GET", "key"}) == "2");

    redis_server& replica = cluster.replica_of(owner);
    cluster.fail_over_to(replica);
    CHECK(&cluster.owner_of("key") == &replica);
    CHECK(&cluster.replica_of(replica) == &owner);

    replica.kill();
    cluster.wait_until_whole();
    CHECK(&cluster.owner_of("key") == &owner);
    CHECK(owner.call({"GET", "key"}) == "2");
    replica.restart();
    cluster.wait_until_whole();
    CHECK(&cluster.replica_of(owner) == &replica);
}

TEST_CASE("a cluster with a password needs no replicas") {
    redis_cluster cluster({.masters = 3, .replicas = 0, .password = "secret"});
    CHECK(cluster.size() == 3);
    redis_server& owner = cluster.owner_of("key");
    CHECK(owner.call({"SET", "key", "1"}) == "OK");
    redis_server& other = &cluster.node(0) == &owner ? cluster.node(1) : cluster.node(0);
    cluster.move_slot(cluster.slot_of("key"), other);
    CHECK(other.call({"GET", "key"}) == "1");
}

TEST_CASE("sentinels replace a master that is gone") {
    redis_sentinels group({.password = "secret"});
    redis_server& first = group.server(0);
    CHECK(&group.master() == &first);
    CHECK(first.call({"SET", "key", "1"}) == "OK");
    CHECK(first.call({"WAIT", "2", "10000"}) == "2");
    first.kill();
    group.wait_until_failed_over(first);
    redis_server& second = group.master();
    CHECK(second.call({"GET", "key"}) == "1");
    first.restart();
    group.wait_until_whole();
    // On a busy machine the sentinels may change their minds once more; one at a time is master.
    eventually("the master takes writes, and nobody else does", [&] {
        const redis_server& leader = group.master();
        for (std::size_t at = 0; at < 3; ++at) {
            const redis_server& each = group.server(at);
            const std::string said = each.call({"SET", "key", "2"});
            if (&each == &leader ? said != "OK" : !said.starts_with("(error) READONLY"))
                return false;
        }
        return true;
    });
}

}  // namespace

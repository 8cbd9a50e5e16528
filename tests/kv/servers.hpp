// servers.hpp: Debian's redis-server and memcached for tests: started on a fresh port in a folder
// of their own, stopped at the end.
//
//   TEST_CASE("…") {
//       redis_server redis({.password = "secret"});
//       block_on(story(redis.port()));
//       CHECK(redis.call({"GET", "a"}) == "1");
//   }
//
// A constructor returns when the server answers; when it cannot be started, it throws with the end
// of the server's log. A test program that needs the server in each of its tests keeps one in a
// function-local static: the fixture holds no descriptor open.
#pragma once

#include <ouro/tests/kv/child_process.hpp>
#include <ouro/tests/temporary_folder.hpp>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ouro {

/// How a server speaks TLS: files of PEM.
struct server_tls {
    std::string certificate;
    std::string key;
    std::string ca;             ///< whom its peers' certificates must be of
    bool asks_clients = false;  ///< clients must show one
};

/// How a redis-server is started. Nothing is written to disk, DEBUG is allowed.
struct redis_options {
    std::string password;             ///< requirepass (and masterauth); empty: none
    std::vector<std::string> acl;     ///< ACL file: "user alice on >secret ~* +@all"
    std::vector<std::string> config;  ///< more lines of redis.conf: "maxclients 3"
    bool unix_socket = false;         ///< listens on unix_path(), too
    bool cluster = false;             ///< cluster-enabled, its bus on port + 10000
    bool sentinel = false;            ///< is a sentinel; `config` says of what
    /// Speaks TLS on tls_port(), and so it does with other servers; port() stays clear.
    std::optional<server_tls> tls = {};
};

/// A redis-server of our own.
class redis_server {
public:
    explicit redis_server(redis_options options = {});

    std::uint16_t port() const noexcept { return port_; }
    std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
    std::uint16_t tls_port() const noexcept { return tls_port_; }  ///< 0 without TLS
    /// Where other servers find it, and send clients that speak as they do.
    std::uint16_t peer_port() const noexcept { return options_.tls ? tls_port_ : port_; }
    std::string peer_address() const { return "127.0.0.1:" + std::to_string(peer_port()); }
    std::string unix_path() const { return folder_.file("socket"); }
    pid_t pid() const noexcept { return process_->pid(); }

    /// Sends one command on a connection of its own, blocking, and returns the reply as redis-cli
    /// shows it when it does not talk to a terminal: elements on lines of their own. Null is
    /// "(nil)", an error "(error) ERR …". As the default user, with the password if there is one.
    std::string call(std::initializer_list<std::string_view> command) const;
    std::string call(const std::vector<std::string>& command) const;

    /// SIGKILL: connections are reset, data is lost.
    void kill() noexcept { process_->kill(); }
    /// Starts it again on the same port after kill(); what it knew of a cluster it still knows.
    void restart();
    /// SIGSTOP and SIGCONT: between them it takes connections and bytes, and answers nothing.
    void pause() noexcept { process_->pause(); }
    void resume() noexcept { process_->resume(); }
    bool running() noexcept { return process_->running(); }

    /// The end of its log.
    std::string log() const { return tail_of(folder_.file("log")); }

private:
    void choose_port();
    void write_config() const;
    void launch();
    bool answers() const;

    redis_options options_;
    temporary_folder folder_;
    std::uint16_t port_ = 0;
    std::uint16_t tls_port_ = 0;
    std::unique_ptr<child_process> process_;
};

/// How a memcached is started.
struct memcached_options {
    std::vector<std::string> arguments;  ///< {"-m", "8", "-I", "2m", "-o", "no_lru_crawler"}
    std::vector<std::string> users;      ///< lines "user:password" of the file for -Y; empty: none
    bool unix_socket = false;            ///< listens on unix_path(), and then on no port
};

/// A memcached of our own.
class memcached_server {
public:
    explicit memcached_server(memcached_options options = {});

    std::uint16_t port() const noexcept { return port_; }  ///< 0 with a Unix socket
    std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
    std::string unix_path() const { return folder_.file("socket"); }
    pid_t pid() const noexcept { return process_->pid(); }

    /// Sends `request` in the classic text protocol on a connection of its own, blocking, and
    /// returns what comes back up to and with the line `last`; any first line when that is empty.
    std::string call(const std::string& request, std::string_view last = "") const;

    /// See redis_server.
    void kill() noexcept { process_->kill(); }
    void restart();
    void pause() noexcept { process_->pause(); }
    void resume() noexcept { process_->resume(); }
    bool running() noexcept { return process_->running(); }
    std::string log() const { return tail_of(folder_.file("log")); }

private:
    std::vector<std::string> command() const;
    void launch();
    bool answers() const;
    std::unique_ptr<blocking_socket> connect() const;

    memcached_options options_;
    temporary_folder folder_;
    std::uint16_t port_ = 0;
    std::unique_ptr<child_process> process_;
};

}  // namespace ouro

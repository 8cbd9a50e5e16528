#include <ouro/tests/kv/servers.hpp>

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <utility>

namespace ouro {

namespace {

constexpr int cluster_bus_offset = 10'000;
constexpr int port_tries = 5;

std::string encoded(const std::vector<std::string>& command) {
    std::string out = "*" + std::to_string(command.size()) + "\r\n";
    for (const std::string& word : command)
        out += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    return out;
}

std::string read_reply(blocking_socket& from) {
    const std::string head = from.line();
    const std::string rest = head.substr(1, head.size() - 3);  // without type and CR LF
    switch (head[0]) {
        case '-': return "(error) " + rest;
        case '$': {
            if (rest == "-1") return "(nil)";
            const std::size_t size = std::stoul(rest);
            return from.bytes(size + 2).substr(0, size);
        }
        case '*': {
            if (rest == "-1") return "(nil)";
            std::string all;
            for (std::size_t left = std::stoul(rest); left > 0; --left) {
                all += read_reply(from);
                if (left > 1) all += '\n';
            }
            return all;
        }
        default: return rest;
    }
}

/// Waits until a server that was just started answers. False: its port was taken meanwhile.
bool came_up(child_process& process, const std::string& log, const char* name,
             const std::function<bool()>& answers) {
    try {
        eventually(std::string(name) + " answers", [&] { return !process.running() || answers(); });
    } catch (const std::exception& error) {
        throw std::runtime_error(error.what() + ("\n" + tail_of(log)));
    }
    if (process.running()) return true;
    const std::string said = tail_of(log);
    if (said.find("ddress already in use") != said.npos) return false;
    throw std::runtime_error(std::string(name) + " ended at once:\n" + said);
}

}  // namespace

// --- redis ----------------------------------------------------------------------------------

redis_server::redis_server(redis_options options) : options_(std::move(options)) {
    for (int tries = 0; tries < port_tries; ++tries) {
        choose_port();
        write_config();
        launch();
        if (came_up(*process_, folder_.file("log"), "redis-server", [this] { return answers(); }))
            return;
    }
    throw std::runtime_error("redis-server: every port was taken\n" + log());
}

void redis_server::choose_port() {
    const auto bus = options_.cluster ? std::vector{cluster_bus_offset} : std::vector<int>{};
    port_ = free_port(bus);
    if (!options_.tls) return;
    do tls_port_ = free_port(bus);
    while (tls_port_ == port_);
}

void redis_server::write_config() const {
    std::ofstream conf(folder_.file("redis.conf"));
    conf << "port " << port_ << "\nbind 127.0.0.1\nprotected-mode no\ndaemonize no\n"
         << "dir " << folder_.path().string() << "\nlogfile \"\"\nalways-show-logo no\n";
    if (!options_.sentinel) {
        conf << "save \"\"\nappendonly no\nenable-debug-command yes\nshutdown-timeout 0\n"
             << "repl-diskless-sync yes\nrepl-diskless-sync-delay 0\n";
        if (!options_.password.empty()) conf << "masterauth " << options_.password << "\n";
    }
    if (!options_.password.empty()) conf << "requirepass " << options_.password << "\n";
    if (options_.unix_socket) conf << "unixsocket " << unix_path() << "\nunixsocketperm 700\n";
    if (options_.cluster) conf << "cluster-enabled yes\ncluster-config-file nodes.conf\n";
    if (!options_.acl.empty()) {
        conf << "aclfile " << folder_.file("users.acl") << "\n";
        std::ofstream users(folder_.file("users.acl"));
        for (const std::string& line : options_.acl) users << line << "\n";
    }
    if (const auto& tls = options_.tls) {
        conf << "tls-port " << tls_port_ << "\ntls-replication yes\n"
             << "tls-cert-file " << tls->certificate << "\ntls-key-file " << tls->key
             << "\ntls-ca-cert-file " << tls->ca << "\ntls-auth-clients "
             << (tls->asks_clients ? "yes" : "no") << "\n";
        if (options_.cluster) conf << "tls-cluster yes\n";
    }
    for (const std::string& line : options_.config) conf << line << "\n";
}

void redis_server::launch() {
    std::vector<std::string> command = {"redis-server", folder_.file("redis.conf")};
    if (options_.sentinel) command.push_back("--sentinel");
    process_ = std::make_unique<child_process>(command, folder_.file("log"));
}

void redis_server::restart() {
    process_->kill();
    launch();
    if (!came_up(*process_, folder_.file("log"), "redis-server", [this] { return answers(); }))
        throw std::runtime_error("redis-server: its port was taken meanwhile\n" + log());
}

bool redis_server::answers() const {
    const std::string reply = call({"PING"});
    if (reply.starts_with("(error) NOAUTH") || reply.starts_with("(error) NOPERM")) return true;
    if (reply != "PONG") return false;
    // Another test's server may have taken the port; ours is about to end then.
    const std::string about = call({"INFO", "server"});
    const std::string ours = "process_id:" + std::to_string(pid()) + "\r";
    return about.starts_with("(error)") || about.find(ours) != about.npos;
}

std::string redis_server::call(std::initializer_list<std::string_view> command) const {
    return call(std::vector<std::string>(command.begin(), command.end()));
}

std::string redis_server::call(const std::vector<std::string>& command) const {
    blocking_socket connection(port_);
    if (!options_.password.empty()) {
        connection.send(encoded({"AUTH", options_.password}));
        if (const std::string reply = read_reply(connection); reply != "OK") return reply;
    }
    connection.send(encoded(command));
    return read_reply(connection);
}

// --- memcached ------------------------------------------------------------------------------

memcached_server::memcached_server(memcached_options options) : options_(std::move(options)) {
    if (!options_.users.empty()) {
        std::ofstream users(folder_.file("users"));
        for (const std::string& line : options_.users) users << line << "\n";
    }
    for (int tries = 0; tries < port_tries; ++tries) {
        if (!options_.unix_socket) port_ = free_port();
        launch();
        if (came_up(*process_, folder_.file("log"), "memcached", [this] { return answers(); }))
            return;
    }
    throw std::runtime_error("memcached: every port was taken\n" + log());
}

std::vector<std::string> memcached_server::command() const {
    std::vector<std::string> words = {"memcached", "-t", "2"};
    if (options_.unix_socket) {
        words.insert(words.end(), {"-s", unix_path()});
    } else {
        words.insert(words.end(), {"-l", "127.0.0.1", "-p", std::to_string(port_), "-U", "0"});
    }
    if (::geteuid() == 0) words.insert(words.end(), {"-u", "root"});
    if (!options_.users.empty()) words.insert(words.end(), {"-Y", folder_.file("users")});
    words.insert(words.end(), options_.arguments.begin(), options_.arguments.end());
    return words;
}

void memcached_server::launch() {
    process_ = std::make_unique<child_process>(command(), folder_.file("log"));
}

void memcached_server::restart() {
    process_->kill();
    launch();
    if (!came_up(*process_, folder_.file("log"), "memcached", [this] { return answers(); }))
        throw std::runtime_error("memcached: its port was taken meanwhile\n" + log());
}

// It listens when it is ready. What it would answer depends on the protocols it was left.
bool memcached_server::answers() const {
    connect();
    if (!options_.users.empty() || !options_.arguments.empty()) return true;
    // Another test's server may have taken the port; ours is about to end then.
    const std::string about = call("stats\r\n", "END");
    return about.find("STAT pid " + std::to_string(pid()) + "\r") != about.npos;
}

std::unique_ptr<blocking_socket> memcached_server::connect() const {
    if (options_.unix_socket) return std::make_unique<blocking_socket>(unix_path());
    return std::make_unique<blocking_socket>(port_);
}

std::string memcached_server::call(const std::string& request, std::string_view last) const {
    const auto connection = connect();
    connection->send(request);
    std::string all;
    for (;;) {
        const std::string line = connection->line();
        all += line;
        if (last.empty() || line.substr(0, line.find_first_of("\r\n")) == last) return all;
    }
}

}  // namespace ouro

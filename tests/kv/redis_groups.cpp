#include <ouro/tests/kv/redis_groups.hpp>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace ouro {

namespace {

constexpr unsigned slot_count = 16'384;

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        if (!line.empty() && line.back() == '\r') line.pop_back();
        lines.push_back(line);
    }
    return lines;
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != text.npos;
}

/// Throws unless the reply says OK.
void must(const std::string& reply, const std::string& what) {
    if (reply != "OK") throw std::runtime_error(what + ": " + reply);
}

/// One line of CLUSTER NODES.
struct known_node {
    std::string id;
    std::uint16_t port = 0;
    std::string flags;
    std::string master;  // "-": it is one
    std::vector<std::string> slots;

    bool is_master() const { return contains(flags, "master"); }
    bool is_down() const { return contains(flags, "fail") || contains(flags, "handshake"); }
    bool serves(unsigned slot) const {
        for (const std::string& range : slots) {
            if (range.starts_with("[")) continue;  // it moves
            const std::size_t dash = range.find('-');
            const unsigned long first = std::stoul(range);
            const unsigned long last =
                dash == range.npos ? first : std::stoul(range.substr(dash + 1));
            if (first <= slot && slot <= last) return true;
        }
        return false;
    }
};

std::vector<known_node> nodes_known_to(const redis_server& node) {
    std::vector<known_node> all;
    for (const std::string& line : lines_of(node.call({"CLUSTER", "NODES"}))) {
        std::istringstream words(line);
        known_node known;
        std::string address, ping, pong, epoch, link, slots;
        words >> known.id >> address >> known.flags >> known.master >> ping >> pong >> epoch >>
            link;
        known.port = static_cast<std::uint16_t>(std::stoul(address.substr(address.find(':') + 1)));
        while (words >> slots) known.slots.push_back(slots);
        all.push_back(std::move(known));
    }
    return all;
}

/// True when a replica has all that its master had.
bool is_in_step(const redis_server& replica) {
    return contains(replica.call({"INFO", "replication"}), "master_link_status:up\r");
}

}  // namespace

// --- cluster --------------------------------------------------------------------------------

redis_cluster::redis_cluster(redis_cluster_options options) : options_(std::move(options)) {
    redis_options each{.password = options_.password,
                       .config = options_.config,
                       .cluster = true,
                       .tls = options_.tls};
    each.config.insert(each.config.begin(),
                       {"cluster-node-timeout " + std::to_string(options_.node_timeout.count()),
                        "cluster-replica-validity-factor 0"});
    for (std::size_t left = options_.masters * (1 + options_.replicas); left > 0; --left)
        nodes_.push_back(std::make_unique<redis_server>(each));
    create();
    wait_until_whole();
}

void redis_cluster::create() const {
    std::vector<std::string> command = {"redis-cli", "--cluster", "create"};
    for (const auto& node : nodes_) command.push_back(node->peer_address());
    const std::string replicas = std::to_string(options_.replicas);
    command.insert(command.end(), {"--cluster-replicas", replicas, "--cluster-yes"});
    const temporary_folder folder;
    child_process creator(with_password(command), folder.file("log"));
    eventually("redis-cli has made a cluster", [&] { return !creator.running(); });
    if (creator.exit_code() != 0)
        throw std::runtime_error("no cluster was made:\n" + tail_of(folder.file("log")));
}

std::vector<std::string> redis_cluster::with_password(std::vector<std::string> command) const {
    if (!options_.password.empty())
        command.insert(command.begin() + 1, {"-a", options_.password, "--no-auth-warning"});
    if (options_.tls)
        command.insert(command.begin() + 1,
                       {"--tls", "--cacert", options_.tls->ca, "--cert", options_.tls->certificate,
                        "--key", options_.tls->key});
    return command;
}

void redis_cluster::wait_until_whole() const {
    eventually("the cluster is whole", [this] { return is_whole(); });
}

bool redis_cluster::is_whole() const {
    std::set<std::uint16_t> running;
    for (const auto& node : nodes_)
        if (node->running()) running.insert(node->port());

    std::set<std::string> opinions;
    for (const auto& node : nodes_) {
        if (!node->running()) continue;
        const std::string info = node->call({"CLUSTER", "INFO"});
        if (!contains(info, "cluster_state:ok\r")) return false;
        if (!contains(info, "cluster_slots_ok:" + std::to_string(slot_count) + "\r")) return false;

        std::map<std::string, std::string> opinion;
        for (const known_node& known : nodes_known_to(*node)) {
            if (!running.contains(known.port)) {
                if (!known.slots.empty()) return false;  // nobody took its place yet
                continue;
            }
            if (known.is_down()) return false;
            std::string& said = opinion[known.id];
            said = known.is_master() ? "master" : "replica of " + known.master;
            for (const std::string& range : known.slots)
                if (!range.starts_with("[")) said += " " + range;  // only the two sides see a move
            const bool is_self = known.port == node->port();
            if (is_self && !known.is_master() && !is_in_step(*node)) return false;
        }
        if (opinion.size() != running.size()) return false;
        std::string all;
        for (const auto& [id, said] : opinion) all += id + " " + said + "\n";
        opinions.insert(all);
    }
    return opinions.size() == 1;
}

redis_server& redis_cluster::owner(unsigned slot) const {
    for (const auto& node : nodes_) {
        if (!node->running()) continue;
        for (const known_node& known : nodes_known_to(*node)) {
            const bool is_self = known.port == node->port();
            if (is_self && known.is_master() && known.serves(slot)) return *node;
        }
    }
    throw std::runtime_error("nobody serves slot " + std::to_string(slot));
}

redis_server& redis_cluster::replica_of(const redis_server& master) const {
    const std::string id = id_of(master);
    for (const auto& node : nodes_) {
        if (!node->running()) continue;
        for (const known_node& known : nodes_known_to(*node))
            if (known.port == node->port() && known.master == id) return *node;
    }
    throw std::runtime_error("no replica of " + master.address() + " runs");
}

unsigned redis_cluster::slot_of(std::string_view key) const {
    for (const auto& node : nodes_) {
        if (!node->running()) continue;
        return static_cast<unsigned>(std::stoul(node->call({"CLUSTER", "KEYSLOT", key})));
    }
    throw std::runtime_error("no node runs");
}

std::string redis_cluster::id_of(const redis_server& node) {
    return node.call({"CLUSTER", "MYID"});
}

void redis_cluster::begin_move(unsigned slot, const redis_server& to) const {
    const redis_server& from = owner(slot);
    const std::string number = std::to_string(slot);
    must(to.call({"CLUSTER", "SETSLOT", number, "IMPORTING", id_of(from)}), "importing");
    must(from.call({"CLUSTER", "SETSLOT", number, "MIGRATING", id_of(to)}), "migrating");
}

void redis_cluster::move_key(std::string_view key, const redis_server& to) const {
    std::vector<std::string> command = {"MIGRATE", "127.0.0.1", std::to_string(to.peer_port()),
                                        "",        "0",         "10000"};
    if (!options_.password.empty()) command.insert(command.end(), {"AUTH", options_.password});
    command.insert(command.end(), {"KEYS", std::string(key)});
    must(owner_of(key).call(command), "moving a key");
}

std::size_t redis_cluster::move_keys(unsigned slot, const redis_server& to,
                                     std::size_t keys_max) const {
    const std::string count = std::to_string(keys_max);
    const std::string keys =
        owner(slot).call({"CLUSTER", "GETKEYSINSLOT", std::to_string(slot), count});
    std::size_t moved = 0;
    for (const std::string& key : lines_of(keys)) {
        move_key(key, to);
        ++moved;
    }
    return moved;
}

void redis_cluster::finish_move(unsigned slot, const redis_server& to) const {
    const std::string number = std::to_string(slot);
    const std::string id = id_of(to);
    redis_server& from = owner(slot);
    must(to.call({"CLUSTER", "SETSLOT", number, "NODE", id}), "taking a slot");
    must(from.call({"CLUSTER", "SETSLOT", number, "NODE", id}), "giving a slot away");
    wait_until_whole();
}

void redis_cluster::move_slot(unsigned slot, const redis_server& to) const {
    begin_move(slot, to);
    while (move_keys(slot, to) > 0) {
    }
    finish_move(slot, to);
}

void redis_cluster::fail_over_to(redis_server& replica) const {
    // The others vote only so often about one master. A failover for which they did not vote ends
    // after five seconds, and then all is as before: it is asked for again.
    constexpr auto ends_after = std::chrono::seconds(6);
    const auto is_master = [&] { return contains(replica.call({"ROLE"}), "master\n"); };
    std::chrono::steady_clock::time_point asked{};
    eventually(replica.address() + " is a master, and stays one", [&] {
        if (is_master()) {
            wait_until_whole();
            if (is_master()) return true;
        }
        const auto now = std::chrono::steady_clock::now();
        if (now - asked < ends_after) return false;
        asked = now;
        must(replica.call({"CLUSTER", "FAILOVER"}), "failover");
        return false;
    });
}

// --- sentinels ------------------------------------------------------------------------------

redis_sentinels::redis_sentinels(redis_sentinels_options options) : options_(std::move(options)) {
    redis_options how{.password = options_.password, .tls = options_.tls};
    servers_.push_back(std::make_unique<redis_server>(how));
    how.config = {"replicaof 127.0.0.1 " + std::to_string(servers_.front()->peer_port())};
    for (std::size_t left = options_.replicas; left > 0; --left)
        servers_.push_back(std::make_unique<redis_server>(how));
    // Sentinels that met a master without replicas would look for them only ten seconds later.
    eventually("the replicas are in step", [this] {
        return std::all_of(servers_.begin() + 1, servers_.end(),
                           [](const auto& replica) { return is_in_step(*replica); });
    });
    for (std::size_t left = options_.sentinels; left > 0; --left) start_sentinel();
    wait_until_whole();
}

void redis_sentinels::start_sentinel() {
    const std::string who(name);
    const std::string quorum = std::to_string(options_.sentinels / 2 + 1);
    redis_options how{
        .password = options_.sentinel_password, .sentinel = true, .tls = options_.tls};
    how.config = {
        "sentinel monitor " + who + " 127.0.0.1 " + std::to_string(servers_.front()->peer_port()) +
            " " + quorum,
        "sentinel down-after-milliseconds " + who + " " +
            std::to_string(options_.down_after.count()),
        "sentinel failover-timeout " + who + " " +
            std::to_string(options_.failover_timeout.count()),
    };
    if (!options_.password.empty())
        how.config.push_back("sentinel auth-pass " + who + " " + options_.password);
    if (!options_.sentinel_password.empty())
        how.config.push_back("sentinel sentinel-pass " + options_.sentinel_password);
    sentinels_.push_back(std::make_unique<redis_server>(how));
}

void redis_sentinels::wait_until_whole() const {
    eventually("the sentinels agree", [this] { return is_whole(); });
}

bool redis_sentinels::is_whole() const {
    const redis_server& leader = master();
    for (const auto& server : servers_)
        if (server->running() && server.get() != &leader && !is_in_step(*server)) return false;

    const auto up = std::count_if(sentinels_.begin(), sentinels_.end(),
                                  [](const auto& each) { return each->running(); });
    for (const auto& each : sentinels_) {
        if (!each->running()) continue;
        std::map<std::string, std::string> about;
        const auto words = lines_of(each->call({"SENTINEL", "MASTER", name}));
        for (std::size_t at = 0; at + 1 < words.size(); at += 2) about[words[at]] = words[at + 1];
        if (about["flags"] != "master") return false;
        if (std::stoul(about["num-slaves"]) + 1 < servers_.size()) return false;
        if (std::stol(about["num-other-sentinels"]) + 1 < up) return false;
        if (!each->call({"SENTINEL", "CKQUORUM", name}).starts_with("OK")) return false;
    }
    return true;
}

redis_server& redis_sentinels::master() const {
    std::set<std::string> answers;
    for (const auto& each : sentinels_) {
        if (each->running())
            answers.insert(each->call({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", name}));
    }
    if (answers.size() != 1) throw std::runtime_error("the sentinels do not agree");
    for (const auto& server : servers_)
        if (*answers.begin() == "127.0.0.1\n" + std::to_string(server->peer_port())) return *server;
    throw std::runtime_error("the sentinels name a stranger: " + *answers.begin());
}

void redis_sentinels::wait_until_failed_over(const redis_server& old) const {
    eventually("the sentinels have failed over", [&] {
        redis_server& leader = master();
        return &leader != &old && leader.running() && contains(leader.call({"ROLE"}), "master\n");
    });
}

}  // namespace ouro

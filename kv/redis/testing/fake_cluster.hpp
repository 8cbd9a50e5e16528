// fake_cluster.hpp: nodes of a Redis cluster on the simulated network, with slots, ASK and all.
//
// Each node keeps its own keys and knows GET, SET, INCR, DEL, EXISTS, MGET, MSET, MULTI and EXEC,
// SSUBSCRIBE and SUNSUBSCRIBE; whoever subscribes to a channel gets one message there.
// It is strict: ASKING counts for the next command of the same connection only.
#pragma once

#include <ouro/kv/redis/testing/said.hpp>
#include <ouro/kv/redis/wire/slots.hpp>
#include <ouro/net/bytes/reader.hpp>
#include <ouro/net/listener.hpp>
#include <ouro/net/stream.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/sync/event.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ouro::testing {

class fake_cluster;

/// One connection to a node.
struct fake_peer {
    std::shared_ptr<net::stream> stream;
    bool asking = false;
    bool broken = false;  // a command of the transaction was refused
    int channels = 0;
    std::optional<std::vector<words_said>> queued;
};

/// One node.
class fake_node {
public:
    fake_node(fake_cluster& of, int number) : of_(of), number_(number) { start(); }
    fake_node(fake_node&&) = delete;
    ~fake_node() { stop(); }

    /// Refuses connections and resets those that there are.
    void stop() {
        if (!running_) return;
        running_->over = true;
        accepting_->cancel();
        accepting_.reset();
        for (auto& each : running_->peers)
            if (auto stream = each.lock()) static_cast<void>(stream->shutdown(net::half::both));
        running_.reset();
    }
    /// Listens again, on the same port.
    void start();
    void forget() { keys.clear(); }

    std::uint16_t port() const noexcept { return port_; }
    std::string url() const { return "redis://127.0.0.1:" + std::to_string(port_); }
    int number() const noexcept { return number_; }
    bool is_running() const noexcept { return running_ != nullptr; }

    std::map<std::string, std::string> keys;
    std::vector<words_said> heard;  // without greetings and CLUSTER
    int connections = 0;
    int topologies = 0;  // times it was asked for the table

private:
    struct life {
        explicit life(net::endpoint where) : listener(where) {}
        net::listener listener;
        std::vector<std::weak_ptr<net::stream>> peers;
        bool over = false;
    };

    static task<> accept_all(fake_node* self, std::shared_ptr<life> now);
    static task<> serve(fake_node* self, std::shared_ptr<life> now, fake_peer peer);
    std::string answer(const words_said& said, fake_peer& peer);
    std::string execute(const words_said& said);
    static std::string subscribe(const words_said& said, fake_peer& peer);

    fake_cluster& of_;
    int number_;
    std::uint16_t port_ = 0;
    std::shared_ptr<life> running_;
    std::optional<join_handle<void>> accepting_;
};

/// Nodes that share the slots evenly, until a test says otherwise.
class fake_cluster {
public:
    explicit fake_cluster(int nodes) : owner(redis::slot_count) {
        for (int n = 0; n < nodes; ++n) {
            all_.push_back(std::make_unique<fake_node>(*this, n));
            for (std::size_t slot = 0; slot < owner.size(); ++slot)
                owner[slot] =
                    static_cast<int>(slot * static_cast<std::size_t>(nodes) / owner.size());
        }
    }
    fake_cluster(fake_cluster&&) = delete;

    fake_node& operator[](int number) { return *all_[static_cast<std::size_t>(number)]; }
    int size() const noexcept { return static_cast<int>(all_.size()); }
    fake_node& owner_of(std::string_view key) { return (*this)[owner[redis::slot_of(key)]]; }
    std::string url() const { return all_.front()->url(); }
    /// The place in the words of a redirection.
    std::string at(int number) { return "127.0.0.1:" + std::to_string((*this)[number].port()); }

    /// The slot of a key goes from its owner to another node; keys stay where they are.
    void begin_move(std::string_view key, int to) { moving[redis::slot_of(key)] = to; }
    void finish_move(std::string_view key) {
        const std::uint16_t slot = redis::slot_of(key);
        owner[slot] = moving.at(slot);
        moving.erase(slot);
    }

    std::string slots_reply() {
        std::string ranges;
        int count = 0;
        for (std::size_t first = 0; first < owner.size();) {
            std::size_t last = first;
            while (last + 1 < owner.size() && owner[last + 1] == owner[first]) ++last;
            ranges += "*" + std::to_string(3 + (replicas.count(owner[first]) ? 1 : 0)) +
                      "\r\n:" + std::to_string(first) + "\r\n:" + std::to_string(last) + "\r\n" +
                      node_reply(owner[first]);
            if (replicas.count(owner[first])) ranges += node_reply(replicas[owner[first]]);
            first = last + 1;
            ++count;
        }
        return "*" + std::to_string(count) + "\r\n" + ranges;
    }

    std::vector<int> owner;               // of each slot
    std::map<std::uint16_t, int> moving;  // slots on their way, and where to
    std::map<int, int> replicas;          // of a master
    event gate;                           // opens for those who hold
    /// Asked before anything else: an answer of the test's own, or none. "close" closes the
    /// connection, "hold" asks again when the gate is open.
    std::function<std::optional<std::string>(fake_node&, const words_said&, fake_peer&)> instead;

private:
    std::string node_reply(int number) {
        return "*3\r\n" + bulk("127.0.0.1") + ":" + std::to_string((*this)[number].port()) +
               "\r\n" + bulk("id" + std::to_string(number));
    }

    std::vector<std::unique_ptr<fake_node>> all_;
};

inline void fake_node::start() {
    running_ = std::make_shared<life>(net::endpoint("127.0.0.1", port_));
    port_ = running_->listener.local().port();
    accepting_.emplace(spawn(accept_all(this, running_)));
}

inline task<> fake_node::accept_all(fake_node* self, std::shared_ptr<life> now) {
    for (;;) {
        auto client = co_await as_result(now->listener.accept());
        if (!client || now->over) co_return;
        ++self->connections;
        fake_peer peer{std::make_shared<net::stream>(std::move(*client))};
        now->peers.push_back(peer.stream);
        spawn(serve(self, now, std::move(peer)));
    }
}

inline task<> fake_node::serve(fake_node* self, std::shared_ptr<life> now, fake_peer peer) {
    net::reader in(*peer.stream);
    for (;;) {
        const words_said said = co_await read_command(in);
        if (said.empty() || now->over) break;
        std::string reply = self->answer(said, peer);
        if (reply == "hold") {
            static_cast<void>(co_await as_result(self->of_.gate.wait()));
            if (now->over) break;
            reply = self->answer(said, peer);
        }
        if (reply == "close") break;
        auto sent = co_await as_result(peer.stream->send_all(reply));
        if (!sent || now->over) break;
    }
    co_await peer.stream->close();
}

inline std::string fake_node::answer(const words_said& said, fake_peer& peer) {
    if (said[0] == "HELLO") return "%2\r\n+server\r\n+fake\r\n+id\r\n:7\r\n";
    if (said[0] == "READONLY" || said[0] == "CLIENT") return "+OK\r\n";
    if (said[0] != "CLUSTER") heard.push_back(said);
    if (of_.instead) {
        if (auto own = of_.instead(*this, said, peer)) return *own;
    }
    if (said[0] == "CLUSTER") {
        ++topologies;
        return said[1] == "SLOTS" ? of_.slots_reply() : "-ERR unknown subcommand\r\n";
    }
    if (said[0] == "PING") return said.size() > 1 ? bulk(said[1]) : "+PONG\r\n";
    if (said[0] == "ASKING") {
        peer.asking = true;
        return "+OK\r\n";
    }
    const bool asking = peer.asking;
    if (!peer.queued) peer.asking = false;
    if (said[0] == "MULTI") {
        peer.asking = asking;  // for what is inside
        peer.queued.emplace();
        peer.broken = false;
        return "+OK\r\n";
    }
    if (said[0] == "EXEC") {
        peer.asking = false;
        const auto queued = std::exchange(peer.queued, std::nullopt);
        if (peer.broken) return "-EXECABORT Transaction discarded\r\n";
        std::string all = "*" + std::to_string(queued->size()) + "\r\n";
        for (const words_said& each : *queued) all += execute(each);
        return all;
    }
    if (said[0] == "SUNSUBSCRIBE" && said.size() == 1) return {};
    const std::uint16_t slot = redis::slot_of(said[1]);
    if ((said[0] == "SSUBSCRIBE" || said[0] == "SUNSUBSCRIBE") && of_.owner[slot] == number_)
        return subscribe(said, peer);
    const auto going = of_.moving.find(slot);
    const std::string words = " " + std::to_string(slot) + " 127.0.0.1:";
    const auto refuse = [&](const std::string& why) {
        peer.broken = true;
        return why;
    };
    const std::size_t step = said[0] == "MSET" ? 2 : said[0] == "SET" ? said.size() : 1;
    std::size_t present = 0;
    std::size_t wanted = 0;
    for (std::size_t at = 1; at < said.size(); at += step, ++wanted)
        present += keys.count(said[at]);
    if (of_.owner[slot] != number_) {
        const bool importing = going != of_.moving.end() && going->second == number_;
        if (!importing || !asking)
            return refuse("-MOVED" + words + std::to_string(of_[of_.owner[slot]].port()) + "\r\n");
        if (wanted > 1 && present < wanted) return refuse("-TRYAGAIN Multiple keys\r\n");
    } else if (going != of_.moving.end() && present < wanted) {
        if (present > 0) return refuse("-TRYAGAIN Multiple keys\r\n");
        return refuse("-ASK" + words + std::to_string(of_[going->second].port()) + "\r\n");
    }
    if (peer.queued) {
        peer.queued->push_back(said);
        return "+QUEUED\r\n";
    }
    return execute(said);
}

inline std::string fake_node::subscribe(const words_said& said, fake_peer& peer) {
    const bool begins = said[0] == "SSUBSCRIBE";
    std::string all;
    for (std::size_t at = 1; at < said.size(); ++at) {
        peer.channels += begins ? 1 : -1;
        all += ">3\r\n" + bulk(begins ? "ssubscribe" : "sunsubscribe") + bulk(said[at]) + ":" +
               std::to_string(peer.channels) + "\r\n";
        if (begins) all += ">3\r\n" + bulk("smessage") + bulk(said[at]) + bulk("hello");
    }
    return all;
}

inline std::string fake_node::execute(const words_said& said) {
    const auto get = [this](const std::string& key) {
        const auto found = keys.find(key);
        return found == keys.end() ? std::string("_\r\n") : bulk(found->second);
    };
    if (said[0] == "GET") return get(said[1]);
    if (said[0] == "SET" || said[0] == "MSET") {
        for (std::size_t at = 1; at + 1 < said.size(); at += 2) keys[said[at]] = said[at + 1];
        return "+OK\r\n";
    }
    if (said[0] == "INCR") {
        std::string& number = keys[said[1]];
        number = std::to_string((number.empty() ? 0 : std::stol(number)) + 1);
        return ":" + number + "\r\n";
    }
    if (said[0] == "MGET") {
        std::string all = "*" + std::to_string(said.size() - 1) + "\r\n";
        for (std::size_t at = 1; at < said.size(); ++at) all += get(said[at]);
        return all;
    }
    std::size_t count = 0;
    for (std::size_t at = 1; at < said.size(); ++at) {
        count += keys.count(said[at]);
        if (said[0] == "DEL") keys.erase(said[at]);
    }
    if (said[0] == "DEL" || said[0] == "EXISTS") return ":" + std::to_string(count) + "\r\n";
    return "-ERR unknown command '" + said[0] + "'\r\n";
}

/// How often a node was asked with this command.
inline int heard(const fake_node& node, std::string_view word) {
    return static_cast<int>(std::count_if(node.heard.begin(), node.heard.end(),
                                          [&](const words_said& each) { return each[0] == word; }));
}

/// A key whose slot the given node owns; `which` tells several apart.
inline std::string key_of(fake_cluster& nodes, int number, int which = 0) {
    for (int n = 0;; ++n) {
        const std::string key = "k" + std::to_string(n);
        if (nodes.owner_of(key).number() == number && which-- == 0) return key;
    }
}

}  // namespace ouro::testing

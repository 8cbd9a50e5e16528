// client_core.hpp: what a client is made of: its sessions, and which of them has a key.
#pragma once

#include <ouro/kv/memcached/client.hpp>
#include <ouro/kv/memcached/connection/call.hpp>
#include <ouro/kv/memcached/connection/session.hpp>
#include <ouro/kv/memcached/ring.hpp>

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

namespace ouro::memcached {

/// Stays where it is when its client moves.
class client_core final : public router {
public:
    client_core(const std::vector<server>& servers, const client_options& options);

    /// Opens the sessions and waits for each one's first attempt to connect.
    task<> connect();
    task<> close();

    session& route(std::string_view key) noexcept override { return *nodes_[node_of(key)]->link; }
    std::size_t node_of(std::string_view key) noexcept;
    std::size_t size() const noexcept { return nodes_.size(); }
    session& at(std::size_t node) noexcept { return *nodes_[node]->link; }
    const client_options& options() const noexcept { return options_; }

    /// True when the call's failure is to look like a miss; throws other failures.
    bool is_missed(const call_base& asked);

    client_figures figures() const;

private:
    struct node final : session_observer {
        node(client_core& of, std::size_t index) noexcept : of(of), index(index) {}
        void went_down() noexcept override { of.set_present(index, false); }
        void came_back() noexcept override { of.set_present(index, true); }

        client_core& of;
        std::size_t index;
        std::shared_ptr<session> link;
    };

    void set_present(std::size_t node, bool present) noexcept;
    void catch_up() noexcept;

    client_options options_;
    ring all_;             // where keys are when every server is there
    ring there_;           // without those that are down
    bool behind_ = false;  // there_ does not know of one: there was no memory for it
    std::vector<std::unique_ptr<node>> nodes_;
    std::vector<session_options> sessions_;  // to be opened
    std::uint64_t hidden_errors_ = 0;
};

}  // namespace ouro::memcached

// ring.hpp: which of several servers has a key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ouro::memcached {

/// How keys are spread over servers. All of them move about 1/n of the keys when one of n servers
/// comes or goes.
enum class distribution : std::uint8_t {
    /// KETAMA_WEIGHTED of libmemcached, LIBKETAMA_COMPATIBLE of php-memcached: MD5, 160 points per
    /// server of average weight. Keys lie on the same servers as there.
    ketama,
    /// DISTRIBUTION_CONSISTENT of libmemcached, with its default hash: 100 points per server,
    /// weights not regarded. Needs no MD5.
    consistent,
    /// Highest random weight: the server whose hash with the key is greatest. Spreads most evenly,
    /// honours weights, needs no MD5; each look-up asks every server.
    rendezvous,
};

/// One server as a ring sees it: text and numbers, no addresses.
struct ring_server {
    std::string host;          ///< as the user wrote it; the path of a Unix socket
    std::uint16_t port = 0;    ///< 0 for a Unix socket
    std::uint32_t weight = 1;  ///< of keys in relation to the others'; 0 counts as 1
};

/// Looks up servers by key. Allocates when it is made and when a server comes or goes only.
class ring {
public:
    /// Every server is there at first. `servers` is not empty and no longer than 10 000. Throws
    /// memcached::error with errc::unsupported when ketama has no MD5; it names the build option.
    ring(distribution how, std::vector<ring_server> servers);

    std::size_t size() const noexcept { return servers_.size(); }

    /// The index of the key's server; size() when no server is there. The order in which the
    /// servers were named counts only where two points coincide.
    std::size_t server_of(std::string_view key) const noexcept;

    /// Takes a server out, so that its keys belong to others, or puts it back, and they are where
    /// they were before. Costs about as much as making the ring. When it throws std::bad_alloc, it
    /// has changed nothing.
    void set_present(std::size_t server, bool present);
    bool is_present(std::size_t server) const noexcept { return present_[server]; }

private:
    struct point {
        std::uint32_t value;
        std::uint32_t server;
    };

    void count_present() noexcept;
    void build();
    void build_ketama(std::vector<point>& points) const;
    void build_consistent(std::vector<point>& points) const;
    std::uint32_t ketama_points(const ring_server& one, std::uint64_t weights) const noexcept;
    std::size_t highest_score(std::string_view key) const noexcept;

    distribution how_;
    std::vector<ring_server> servers_;
    std::vector<bool> present_;
    std::vector<point> points_;         // by value; empty for rendezvous
    std::vector<std::uint64_t> seeds_;  // of rendezvous, one per server
    std::size_t present_count_ = 0;
};

}  // namespace ouro::memcached

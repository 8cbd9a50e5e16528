#include <ouro/kv/memcached/ring.hpp>

#include <ouro/kv/memcached/error.hpp>
#include <ouro/kv/memcached/md5.hpp>
#include <ouro/runtime/check.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace ouro::memcached {
namespace {

constexpr std::uint16_t default_port = 11211;
constexpr std::size_t servers_max = 10'000;
constexpr unsigned ketama_points_per_server = 160;
constexpr unsigned points_per_digest = 4;
constexpr unsigned consistent_points_per_server = 100;

/// The text whose hashes are a server's points. The port is left out when it is the usual one, so
/// that clients which name it and clients which do not agree.
std::string point_name(const ring_server& one, unsigned number) {
    std::string name = one.host;
    if (one.port != default_port) (name += ':') += std::to_string(one.port);
    (name += '-') += std::to_string(number);
    return name;
}

/// Four bytes of a digest, the lowest first.
std::uint32_t word_of(const md5_digest& digest, unsigned which) noexcept {
    std::uint32_t word = 0;
    for (unsigned i = 4; i-- > 0;) word = word << 8 | digest[which * 4 + i];
    return word;
}

/// Bob Jenkins' one-at-a-time hash.
std::uint32_t one_at_a_time(std::string_view text) noexcept {
    std::uint32_t hash = 0;
    for (const char c : text) {
        // The sign of a char is part of the hash that others compute.
        hash += static_cast<std::uint32_t>(static_cast<signed char>(c));
        hash += hash << 10;
        hash ^= hash >> 6;
    }
    hash += hash << 3;
    hash ^= hash >> 11;
    hash += hash << 15;
    return hash;
}

/// FNV-1a with 64 bits.
std::uint64_t fnv(std::string_view text) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : text) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
    return hash;
}

/// The finalizer of splitmix64: every bit of the result depends on every bit of the argument.
std::uint64_t mix(std::uint64_t bits) noexcept {
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
    return bits ^ bits >> 31;
}

/// With these scores the greatest is a server's with a chance in proportion to its weight.
double score(std::uint64_t hash, std::uint32_t weight) noexcept {
    const double between_0_and_1 = (static_cast<double>(hash >> 11) + 0.5) * 0x1p-53;
    return -static_cast<double>(weight) / std::log(between_0_and_1);
}

}  // namespace

ring::ring(distribution how, std::vector<ring_server> servers)
    : how_(how), servers_(std::move(servers)), present_(servers_.size(), true) {
    OURO_ASSERT(!servers_.empty() && servers_.size() <= servers_max);
    for (ring_server& one : servers_) one.weight = std::max(one.weight, 1u);
    if (how_ == distribution::ketama && !has_md5())
        throw error(errc::unsupported, net::fate::unsent, {},
                    "ketama needs MD5: configure ouro with -Dmd5=enabled (OpenSSL), or choose "
                    "another distribution");
    if (how_ == distribution::rendezvous)
        for (const ring_server& one : servers_) seeds_.push_back(mix(fnv(point_name(one, 0))));
    build();
}

void ring::set_present(std::size_t server, bool present) {
    OURO_ASSERT(server < present_.size());
    if (present_[server] == present) return;
    present_[server] = present;
    try {
        build();
    } catch (...) {
        present_[server] = !present;
        count_present();
        throw;
    }
}

void ring::count_present() noexcept {
    present_count_ = static_cast<std::size_t>(std::count(present_.begin(), present_.end(), true));
}

void ring::build() {
    count_present();
    std::vector<point> points;
    if (how_ == distribution::ketama) build_ketama(points);
    if (how_ == distribution::consistent) build_consistent(points);
    std::sort(points.begin(), points.end(), [](const point& a, const point& b) {
        return std::pair(a.value, a.server) < std::pair(b.value, b.server);
    });
    points_ = std::move(points);
}

// In single precision and in this order, as everybody has it: one point more or less moves keys.
std::uint32_t ring::ketama_points(const ring_server& one, std::uint64_t weights) const noexcept {
    const float share = static_cast<float>(one.weight) / static_cast<float>(weights);
    const float digests =
        share * ketama_points_per_server / points_per_digest * static_cast<float>(present_count_);
    return static_cast<std::uint32_t>(std::floor(digests + 0.0000000001F)) * points_per_digest;
}

void ring::build_ketama(std::vector<point>& points) const {
    std::uint64_t weights = 0;
    for (std::size_t i = 0; i < servers_.size(); ++i)
        if (present_[i]) weights += servers_[i].weight;
    for (std::uint32_t i = 0; i < servers_.size(); ++i) {
        if (!present_[i]) continue;
        const std::uint32_t digests = ketama_points(servers_[i], weights) / points_per_digest;
        for (unsigned number = 0; number < digests; ++number) {
            const md5_digest digest = md5(point_name(servers_[i], number));
            for (unsigned word = 0; word < points_per_digest; ++word)
                points.push_back({word_of(digest, word), i});
        }
    }
}

void ring::build_consistent(std::vector<point>& points) const {
    for (std::uint32_t i = 0; i < servers_.size(); ++i)
        for (unsigned number = 0; present_[i] && number < consistent_points_per_server; ++number)
            points.push_back({one_at_a_time(point_name(servers_[i], number)), i});
}

std::size_t ring::server_of(std::string_view key) const noexcept {
    if (present_count_ == 0) return size();
    if (how_ == distribution::rendezvous) return highest_score(key);
    if (size() == 1) return 0;
    const std::uint32_t hash =
        how_ == distribution::ketama ? word_of(md5(key), 0) : one_at_a_time(key);
    const auto found =
        std::lower_bound(points_.begin(), points_.end(), hash,
                         [](const point& at, std::uint32_t value) { return at.value < value; });
    OURO_ASSERT(!points_.empty() && "servers that are there have points");
    return found == points_.end() ? points_.front().server : found->server;
}

std::size_t ring::highest_score(std::string_view key) const noexcept {
    const std::uint64_t hash = fnv(key);
    std::size_t best = size();
    double highest = 0;
    for (std::size_t i = 0; i < size(); ++i) {
        if (!present_[i]) continue;
        const double its = score(mix(hash ^ seeds_[i]), servers_[i].weight);
        if (best == size() || its > highest) {
            best = i;
            highest = its;
        }
    }
    return best;
}

}  // namespace ouro::memcached

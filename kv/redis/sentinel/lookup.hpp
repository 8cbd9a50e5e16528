// lookup.hpp: asks several sentinels at once who the master is, and the master whether it
// agrees.
#pragma once

#include <ouro/kv/redis/connection/session.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/task.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace ouro::redis {

/// What a sentinel says.
struct sentinel_report {
    address master;
    std::uint64_t epoch = 0;         ///< of the configuration: it grows with every failover
    std::vector<address> sentinels;  ///< the others
    std::vector<address> replicas;   ///< those that are up
};

/// Whom to ask, and how.
struct sentinel_inquiry {
    std::string name;                          ///< by which the sentinels know the master
    std::vector<session_options> sentinels;    ///< all are asked at once
    std::optional<address> hint;               ///< is asked for its role without anybody's word
    std::uint64_t epoch_min = 0;               ///< what is older is not believed
    session_options to_master;                 ///< `where` is filled in
    duration limit = std::chrono::seconds(2);  ///< for one sentinel and the master that it names
};

/// One inquiry. The first good answer wins: that of a sentinel whose master says itself that it is
/// one. The others are cancelled, and their connections are closed when `find` returns.
class sentinel_lookup {
public:
    explicit sentinel_lookup(const sentinel_inquiry& about) noexcept : about_(about) {}

    /// Nothing when there was no good answer: `failure` and `story` tell why. `about` must stay
    /// until then. Of a hint the report tells the master alone.
    task<std::optional<sentinel_report>> find();

    /// The most telling error: what a server said goes before what a network did.
    std::error_code failure() const noexcept { return failure_; }
    /// What each of them answered, for people.
    const std::string& story() const noexcept { return story_; }
    /// Sentinels that answered, with whatever; those that told of an older configuration.
    int answered() const noexcept { return answered_; }
    int outdated() const noexcept { return outdated_; }

private:
    task<> try_sentinel(session_options how, scope& all);
    task<> try_hint(scope& all);
    task<sentinel_report> ask(session_options how);
    task<> check_role(address where);
    void succeed(sentinel_report report, scope& all);
    void fail(std::string_view who, std::error_code code, std::string_view what);

    const sentinel_inquiry& about_;
    std::optional<sentinel_report> found_;
    std::error_code failure_;
    std::string story_;
    int answered_ = 0;
    int outdated_ = 0;
};

}  // namespace ouro::redis

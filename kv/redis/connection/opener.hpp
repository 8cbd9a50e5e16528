// opener.hpp: opens the connections of a pool, and renews them.
#pragma once

#include <ouro/kv/redis/connection/connection.hpp>
#include <ouro/kv/redis/connection/session.hpp>
#include <ouro/net/pool/pool.hpp>
#include <ouro/runtime/task.hpp>

#include <cstdint>
#include <memory>
#include <vector>

namespace ouro::redis {

/// Opens connections to one server. A pool's connector; worker-local.
class connection_opener : public net::pool_connector<connection> {
public:
    explicit connection_opener(session_options how) : how_(std::move(how)) {}

    /// Those that are open, or being opened, are lent no more: they are closed when they come back.
    void retire();

    task<std::unique_ptr<connection>> connect() override;
    bool usable(connection& one) noexcept override;
    task<bool> check(connection& idle) override;

protected:
    void forget_closed() noexcept;

    session_options how_;
    std::vector<std::weak_ptr<session>> open_;

private:
    std::vector<std::weak_ptr<session>> retired_;
    std::uint64_t retirements_ = 0;
};

}  // namespace ouro::redis

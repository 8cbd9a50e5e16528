// opener.hpp: opens the connections of a pool, and renews them.
#pragma once

#include <ouro/kv/redis/connection/connection.hpp>
#include <ouro/kv/redis/connection/session.hpp>
#include <ouro/net/pool/pool.hpp>
#include <ouro/runtime/task.hpp>

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace ouro::redis {

/// Opens connections to one server. A pool's connector; worker-local.
///
/// When one of its connections meets READONLY, the server is no master any more, and the others
/// would meet it, too: all that are open are retired.
class connection_opener : public net::pool_connector<connection> {
public:
    explicit connection_opener(session_options how) : how_(std::move(how)) {}

    /// Hears READONLY on a session.
    class watch final : private session_observer {
    public:
        watch(connection_opener& of, session& on);
        watch(const watch&) = delete;
        ~watch() { session::forget_observer(*this); }

        /// Null when it is gone.
        std::shared_ptr<session> on() const noexcept { return on_.lock(); }

    private:
        void error_seen(std::string_view words) noexcept override;

        connection_opener& of_;
        std::weak_ptr<session> on_;
    };

    task<std::unique_ptr<connection>> connect() override;
    bool usable(connection& one) noexcept override { return one.is_whole(); }
    task<bool> check(connection& idle) override;
    bool needs_restore(connection& one) noexcept override { return one.is_watching(); }
    /// UNWATCH
    task<bool> restore(connection& one) override;

protected:
    void forget_closed() noexcept;

    session_options how_;
    std::vector<std::unique_ptr<watch>> open_;

private:
    read_only_pace read_only_;
};

}  // namespace ouro::redis

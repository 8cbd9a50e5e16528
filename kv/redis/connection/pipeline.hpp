// pipeline.hpp: many commands in one write, each with a handle for its reply.
#pragma once

#include <ouro/kv/redis/connection/batch.hpp>
#include <ouro/runtime/task.hpp>

#include <cstddef>
#include <memory>
#include <span>

namespace ouro::redis {

class client_core;

/// Collects commands and sends them in one piece:
///
///     auto batch = db.pipeline();
///     auto hits = batch.incr("hits");              // handle<std::int64_t>
///     auto name = batch.get("name");               // handle<std::optional<std::string>>
///     co_await batch.exec();
///     use(hits.get(), name.get());                 // each has its own reply, or its own error
///
/// No transaction: others' commands may run in between. It can be used again after `clear`, and
/// then allocates nothing. Blocking commands in it do block, everyone on the connection: they are
/// refused with errc::not_shareable, as is everything else that must not go on a shared one (see
/// obstacle). Must live as long as its handles, stays where it is, and must not outlive the client
/// it came from.
class pipeline : public batch_door<pipeline> {
public:
    /// On a client's shared connection. From `dedicated_from` commands on, a connection of its own
    /// is leased, so that others need not wait behind them.
    explicit pipeline(std::shared_ptr<client_core> on) noexcept;
    /// On one session.
    explicit pipeline(session& on) noexcept;
    pipeline(pipeline&&) = delete;
    ~pipeline();

    /// Sends what was collected and waits for every reply. Throws redis::error when a reply is
    /// missing, that is, when the connection failed; an error reply is the business of its handle.
    /// An empty pipeline is done at once. May be awaited again: the same commands are sent again.
    task<> exec();

    /// Throws the error of the first command that failed, if one did: for those who do not look at
    /// each handle.
    void throw_if_failed() const { batch_.throw_first_error(); }

private:
    friend batch_door;

    std::size_t add(const redis::command_info& what, std::span<const arg> arguments);
    std::size_t add(const redis::command& what);

    std::shared_ptr<client_core> client_;
    session* session_ = nullptr;
};

}  // namespace ouro::redis

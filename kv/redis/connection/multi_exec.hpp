// multi_exec.hpp: MULTI, the commands of a batch, EXEC: what is sent, and what the replies mean.
#pragma once

#include <ouro/kv/redis/connection/batch.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

namespace ouro::redis {

/// A transaction on the wire. Its owner sends its bytes, hands it the replies in their order, and
/// looks at the outcome; each command's own reply goes to the batch.
class multi_exec {
public:
    /// Of a batch that has at least one command when this is prepared, and does not change then.
    explicit multi_exec(batch& of) noexcept : batch_(of) {}

    /// Puts together what is to be sent. False when a command is too large: a transaction without
    /// it would be another one, so all of them have failed.
    bool prepare();
    std::span<const std::byte> bytes() const noexcept { return std::as_bytes(std::span(bytes_)); }
    std::uint32_t replies() const noexcept { return static_cast<std::uint32_t>(2 + batch_.size()); }
    std::size_t size() const noexcept { return batch_.size(); }

    /// It is sent, for the first time or again: forgets what was answered.
    void restart() noexcept;
    /// Takes the next reply.
    void take(const value& from) noexcept;
    /// There will be no more replies, or it never set out.
    void fail(std::error_code why, net::fate how_far) noexcept;
    /// The same, with the server's words.
    void fail(std::error_code why, std::string_view words, net::fate how_far) noexcept;

    /// Zero when all commands have run: see transaction::exec.
    std::error_code error() const noexcept { return error_; }
    void throw_if_failed() const;
    /// The server's words when it refused: those of the first command that it did not queue,
    /// or of EXEC.
    const std::string& words() const noexcept { return words_; }
    net::fate how_far() const noexcept { return how_far_; }
    /// Whether EXEC was answered, which ends every watch, whatever the answer.
    bool ended_watch() const noexcept { return ended_watch_; }

private:
    void take_queued(const value& from);
    void take_exec(const value& from);

    batch& batch_;
    std::string bytes_;
    std::error_code error_;
    std::string words_;
    std::uint32_t next_ = 0;  // MULTI is 0
    net::fate how_far_ = net::fate::answered;
    bool ended_watch_ = false;
};

}  // namespace ouro::redis

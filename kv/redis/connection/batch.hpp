// batch.hpp: commands put together to be sent as one, and their replies.
#pragma once

#include <ouro/kv/redis/commands/door.hpp>
#include <ouro/kv/redis/connection/session.hpp>
#include <ouro/kv/redis/wire/command.hpp>
#include <ouro/kv/redis/wire/decode.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace ouro::redis {

/// Encoded commands in a row, each with its reply once it has one. Pipelines and transactions are
/// made of it.
///
/// Clearing keeps the memory for the next commands (up to a few MiB), so a batch that is used
/// again and again allocates nothing. At most 4 GiB of replies.
class batch {
public:
    batch() = default;
    batch(const batch&) = delete;
    batch& operator=(const batch&) = delete;

    /// Appends a command; returns its index. One that is too large for Redis is not sent: it has
    /// errc::too_large for a reply.
    std::size_t add(const command_info& what, std::span<const arg> arguments);
    std::size_t add(const command& what);

    std::size_t size() const noexcept { return entries_.size(); }
    bool empty() const noexcept { return entries_.empty(); }
    /// Changes with every clear(): handles of before are told errc::batch_ended.
    std::uint32_t generation() const noexcept { return generation_; }

    const command_info& info(std::size_t index) const noexcept { return *entries_[index].what; }
    /// The slot of a command that is in no table, if it was said.
    std::optional<std::uint16_t> said_slot(std::size_t index) const noexcept {
        return entries_[index].said_slot;
    }
    /// The encoded command.
    std::span<const std::byte> bytes(std::size_t index) const noexcept;
    /// All of them, in order.
    std::span<const std::byte> bytes() const noexcept { return std::as_bytes(std::span(bytes_)); }
    /// Whether all of them only read.
    bool read_only() const noexcept { return read_only_; }

    // Replies.

    void set_reply(std::size_t index, const value& from);
    void set_error(std::size_t index, std::error_code why, net::fate how_far) noexcept;
    /// Sets it for everyone that has no reply yet.
    void fail_rest(std::error_code why, net::fate how_far) noexcept;

    /// Whether it has a reply, or an error instead of one.
    bool has_outcome(std::size_t index) const noexcept {
        return has_reply(index) || entries_[index].error;
    }
    bool has_reply(std::size_t index) const noexcept { return entries_[index].node != no_node; }
    /// The reply, valid until the next one is added; there must be one.
    value reply_of(std::size_t index) const noexcept {
        OURO_ASSERT(has_reply(index));
        return {nodes_[entries_[index].node], texts_.data()};
    }
    /// Why there is none, or zero; and of an error reply its code.
    std::error_code error_of(std::size_t index) const noexcept;
    net::fate fate_of(std::size_t index) const noexcept { return entries_[index].how_far; }
    [[noreturn]] void throw_error_of(std::size_t index, std::error_code why) const;
    /// Throws the error of the first command that has one; nothing when none has.
    void throw_first_error() const;

    /// Forgets the replies: the commands can be sent again.
    void forget_replies() noexcept;
    /// Forgets everything.
    void clear() noexcept;

private:
    static constexpr std::uint32_t no_node = ~std::uint32_t{0};

    struct entry {
        const command_info* what;
        std::size_t begin;  // of its bytes
        std::error_code error;
        std::uint32_t node = no_node;  // the root of its reply
        net::fate how_far = net::fate::unsent;
        std::optional<std::uint16_t> said_slot = {};
    };

    std::vector<entry> entries_;
    std::vector<char> bytes_;
    std::vector<node> nodes_;
    std::string texts_;
    std::uint32_t generation_ = 1;
    bool read_only_ = true;
};

/// Stands for one command of a batch and its reply to come. A few words; copy it. It belongs to the
/// pipeline or transaction it came from and must not outlive it.
template <class T>
class handle {
public:
    handle(const batch& of, std::size_t index) noexcept
        : of_(&of), index_(index), generation_(of.generation()) {}

    /// Whether there is an answer, or the reason why there will be none.
    bool ready() const noexcept {
        return generation_ == of_->generation() && of_->has_outcome(index_);
    }
    /// The reply. Throws redis::error: what the server said to this command, or why it has no
    /// reply; errc::batch_ended before the batch has run and after it was cleared.
    T get() const {
        result<T> read = as_result();
        if (!read) fail(read.error());
        if constexpr (!std::is_void_v<T>) return std::move(*read);
    }
    /// The reply, or the error as a value.
    result<T> as_result() const {
        if (!ready()) return make_error_code(errc::batch_ended);
        if (const std::error_code error = of_->error_of(index_)) return error;
        if constexpr (std::is_void_v<T>) {
            return {};
        } else {
            T into = blank<T>::make();
            if (const std::error_code error = decode(of_->reply_of(index_), into)) return error;
            return into;
        }
    }

private:
    [[noreturn]] void fail(std::error_code why) const {
        if (why == errc::batch_ended) throw_error(why);
        of_->throw_error_of(index_, why);
    }

    const batch* of_;
    std::size_t index_;
    std::uint32_t generation_;
};

/// A door that collects: each command goes into a batch, and what comes back is a handle for its
/// reply. `Self` has two `add`, which may refuse and return the index in the batch: of a command of
/// the table with its arguments, and of a command that is encoded.
template <class Self>
class batch_door : public door<Self> {
public:
    std::size_t size() const noexcept { return batch_.size(); }
    bool empty() const noexcept { return batch_.empty(); }
    /// Forgets commands and replies; what the handles say then is errc::batch_ended.
    void clear() noexcept { batch_.clear(); }

protected:
    batch batch_;

private:
    friend door<Self>;

    template <class T>
    handle<T> run_known(verb what, std::span<const arg> arguments) {
        return {batch_, static_cast<Self&>(*this).add(redis::info(what), arguments)};
    }
    template <class T, class... How>
    handle<T> run_named(std::string_view name, const How&... how) {
        return {batch_, static_cast<Self&>(*this).add(redis::command(name, how...))};
    }
};

/// Views into a batch's replies need no copy: valid until the batch is cleared or runs again.
template <>
struct decoder<std::string_view> {
    static std::error_code read(const value& from, std::string_view& into) noexcept {
        if (!from.has_text() || from.is_error()) return unexpected(from);
        into = from.text();
        return {};
    }
};

/// Sends a batch on one session, in one piece, and takes its replies.
class [[nodiscard, gnu::warn_unused]] batch_call final : public request {
public:
    /// `from` must not change until this has ended, and has at least one command.
    batch_call(session& on, batch& from) noexcept;

    /// Throws redis::error when not all have a reply; what each got, the batch knows. Errors that
    /// the server answers are each command's own.
    void await_resume() const;
    result<void> await_result() const noexcept {
        if (error_) return error_;
        return {};
    }

    void describe(leaf_description& into) const override;

private:
    bool encode(net::writer& out) override { return out.write(batch_.bytes()); }
    bool take(const value& from) noexcept override;
    void failed(std::error_code why, net::fate how_far) noexcept override;

    batch& batch_;
    std::size_t next_ = 0;
    std::error_code error_;
    net::fate how_far_ = net::fate::answered;
};

}  // namespace ouro::redis

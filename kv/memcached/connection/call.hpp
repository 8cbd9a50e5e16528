// call.hpp: one request on its way to the server that has its key.
#pragma once

#include <ouro/kv/memcached/connection/session.hpp>
#include <ouro/kv/memcached/wire/message.hpp>
#include <ouro/net/session/thrown.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

namespace ouro::memcached {

/// Knows which server has a key now.
class router {
public:
    /// The one that has it, or that would have it if it were not down.
    virtual session& route(std::string_view key) noexcept = 0;

protected:
    ~router() = default;
};

/// Writes a request; false when the writer does not take it. Throws std::bad_alloc.
bool encode_request(const grammar& language, const request& what, net::writer& out);

/// Finds what is wrong with a request before it is sent; zero: nothing.
std::error_code find_fault(const request& what, const session_options& with) noexcept;

/// The part that calls share: how they end.
class call_base : public pending_request {
public:
    /// Zero when it was answered, and not with an error.
    std::error_code error_code() const noexcept { return error_; }
    net::fate how_far() const noexcept { return how_far_; }

    /// Throws memcached::error when it has failed.
    void check() const {
        if (error_) throw_failure();
    }
    void await_resume() const noexcept {}

    /// The session that was asked last.
    const session& asked() const noexcept { return static_cast<const session&>(on()); }

protected:
    explicit call_base(session& first) noexcept : pending_request(first, 1) {}
    ~call_base() { assert_awaited("memcached call"); }

    bool refuse(std::error_code why) noexcept;
    void begin_anew() noexcept;
    void keep_error(const reply& from) noexcept;
    /// False when the reply has another opaque than `mine`, or none where the dialect has one.
    bool is_mine(const reply& from, std::uint32_t mine, verb what) const noexcept;
    /// Takes what `act` throws as the call's error: nobody else is concerned.
    template <class Act>
    void guarded(Act act) noexcept {
        try {
            act();
        } catch (...) {
            error_ = net::thrown_code();
        }
    }

    void failed(std::error_code why, net::fate how_far) noexcept final;
    [[noreturn]] void throw_failure() const;

private:
    std::error_code error_;
    std::string words_;
    net::fate how_far_ = net::fate::unsent;
};

/// How a call ended that did not fail.
enum class outcome : std::uint8_t { none, done, miss, not_stored, exists, not_found };

/// One request with one answer. Awaiting it does not throw:
///
///     do co_await asked; while (asked.moves_on());
///     asked.check();
///
/// The memory that the request points to stays until then.
class [[nodiscard, gnu::warn_unused]] call final : public call_base {
public:
    /// Goes where the key's server is when it is awaited.
    call(router& by, const request& what) noexcept;
    /// Goes there.
    call(session& to, const request& what) noexcept;

    /// Where a value is put; one of the two, or nowhere.
    void into(std::string& text) noexcept { text_ = &text; }
    void into(std::span<char> room) noexcept { room_ = room; }

    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        if (begin()) return start(by.promise());
        note_awaited(by.promise());  // and refused
        return false;
    }

    /// True when it was not sent because its server went down, or is a read that may be repeated,
    /// and its key is another server's now: await it again.
    bool moves_on() noexcept;

    memcached::outcome outcome() const noexcept { return outcome_; }
    const reply& said() const noexcept { return said_; }  ///< without its views
    std::size_t value_bytes() const noexcept { return value_bytes_; }

    void describe(leaf_description& into) const override;

private:
    bool begin() noexcept;
    void forget_answer() noexcept;
    bool encode(net::writer& out) override;
    bool carries_a_value() const noexcept override { return stores(what_.what); }
    std::error_code take(const reply& from, bool is_last) noexcept override;
    bool understand(const reply& from) noexcept;
    bool understand_get(const reply& from) noexcept;
    bool understand_store(status said) noexcept;
    bool understand_number(const reply& from) noexcept;
    bool understand_rest(status said) noexcept;
    void keep_value(std::string_view value);

    router* by_ = nullptr;
    request what_;
    std::string* text_ = nullptr;
    std::span<char> room_;
    reply said_;
    std::size_t value_bytes_ = 0;
    std::uint8_t moves_left_ = 4;
    memcached::outcome outcome_ = outcome::none;
};

}  // namespace ouro::memcached

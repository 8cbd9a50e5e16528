// batch.hpp: requests with many answers: many keys of one server at once, and statistics.
#pragma once

#include <ouro/kv/memcached/connection/call.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ouro::memcached {

/// A value with what is stored beside it.
struct item {
    std::string value;
    std::uint32_t flags = 0;
    std::uint64_t cas = 0;  ///< for client::cas; 0 unless it was asked for
};

/// Gets many keys of one server in one exchange: in the meta and binary dialects a request for
/// each, in the text dialect lines of less than 2 KiB. Awaiting it does not throw; it can be
/// awaited once.
class [[nodiscard, gnu::warn_unused]] batch_get final : public call_base {
public:
    /// Gets keys[i] for each i of `which`, which is not empty, into found[i]. All of them stay
    /// until it has ended; the keys are valid.
    batch_get(session& to, std::span<const std::string_view> keys,
              std::span<const std::uint32_t> which, std::span<std::optional<item>> found,
              const request& wishes);

    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        if (begin()) return start(by.promise());
        note_awaited(by.promise());  // and refused
        return false;
    }

    void describe(leaf_description& into) const override;

private:
    bool begin() noexcept;
    bool encode(net::writer& out) override;
    bool encode_requests(net::writer& out);
    bool encode_lines(net::writer& out);
    bool carries_a_value() const noexcept override { return false; }
    std::error_code take(const reply& from, bool is_last) noexcept override;
    std::error_code take_line(const reply& from, bool is_last) noexcept;
    void keep(std::size_t at, const reply& from) noexcept;

    std::span<const std::string_view> keys_;
    std::span<const std::uint32_t> which_;
    std::span<std::optional<item>> found_;
    request wishes_;
    std::vector<std::uint32_t> line_ends_;  // text: where in `which_` each line ends
    std::uint32_t first_opaque_ = 0;
    std::size_t at_ = 0;    // in which_: whose answer may come next
    std::size_t line_ = 0;  // text: whose END comes next
};

/// Statistics as the server names them.
using stats_list = std::vector<std::pair<std::string, std::string>>;

/// Asks one server for a group of statistics. Awaiting it does not throw.
class [[nodiscard, gnu::warn_unused]] stats_call final : public call_base {
public:
    /// No server has more; one that sends more is not listened to.
    static constexpr std::size_t entries_max = 100'000;

    stats_call(session& to, std::string_view group, stats_list& into) noexcept
        : call_base(to), what_{.what = verb::stats, .key = group}, into_(into) {}

    template <frame_promise P>
    bool await_suspend(std::coroutine_handle<P> by) noexcept {
        if (begin()) return start(by.promise());
        note_awaited(by.promise());  // and refused
        return false;
    }

    void describe(leaf_description& into) const override;

private:
    bool begin() noexcept;
    bool encode(net::writer& out) override;
    bool carries_a_value() const noexcept override { return false; }
    std::error_code take(const reply& from, bool is_last) noexcept override;

    request what_;
    stats_list& into_;
};

}  // namespace ouro::memcached

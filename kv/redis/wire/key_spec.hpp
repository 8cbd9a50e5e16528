// key_spec.hpp: where a command's keys stand among its words.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace ouro::redis {

struct command_info;

/// One rule by which Redis finds keys, as COMMAND INFO tells it. Positions count the words of a
/// command; word 0 is its name.
struct key_spec {
    enum class beginning : std::uint8_t {
        at_index,      ///< at word `index`
        after_word,    ///< behind `word`, looked for from word `index` on
        sort_store,    ///< behind the last STORE of SORT
        migrate_keys,  ///< MIGRATE: word 3, or when that is empty all behind KEYS
    };

    beginning begin = beginning::at_index;
    std::string_view word = {};
    std::int8_t index = 0;
    bool counted = false;    ///< a number stands there, and that many keys follow
    std::int8_t last = 0;    ///< of the keys: relative to the first, or if negative to the end
    std::uint8_t share = 1;  ///< only the first of that many equal parts of the rest are keys
    std::uint8_t step = 1;   ///< from one key to the next
};

/// Keys that stand at equal distances.
struct key_range {
    std::uint32_t first = 0;  ///< the position of the first
    std::uint32_t count = 0;
    std::uint32_t step = 1;
};

/// The positions of a command's keys, rule by rule: a few ranges, in place.
class key_ranges {
public:
    class iterator;

    std::span<const key_range> ranges() const noexcept { return {ranges_.data(), used_}; }
    bool empty() const noexcept { return used_ == 0; }
    /// How many keys there are.
    std::size_t size() const noexcept;
    iterator begin() const noexcept;
    iterator end() const noexcept;

    void add(key_range range) noexcept;

private:
    std::array<key_range, 3> ranges_{};  // no command has more
    std::uint8_t used_ = 0;
};

/// Visits every position.
class key_ranges::iterator {
public:
    using value_type = std::uint32_t;
    using difference_type = std::ptrdiff_t;

    iterator() noexcept = default;
    explicit iterator(const key_range* at) noexcept : at_(at) {}

    std::uint32_t operator*() const noexcept { return at_->first + passed_ * at_->step; }
    iterator& operator++() noexcept {
        if (++passed_ == at_->count) {
            ++at_;
            passed_ = 0;
        }
        return *this;
    }
    iterator operator++(int) noexcept {
        const iterator before = *this;
        ++*this;
        return before;
    }
    bool operator==(const iterator& other) const noexcept = default;

private:
    const key_range* at_ = nullptr;
    std::uint32_t passed_ = 0;
};

inline key_ranges::iterator key_ranges::begin() const noexcept { return iterator(ranges_.data()); }
inline key_ranges::iterator key_ranges::end() const noexcept {
    return iterator(ranges_.data() + used_);
}

/// The keys of the command whose words, its name's included, are `words`.
///
/// Shard channels (SPUBLISH, SSUBSCRIBE) count as keys: they have a slot, too. Empty when there are
/// none, and when the words are not a valid command, such as a count of keys that is no number: the
/// server says so wherever it is sent.
key_ranges keys_of(const command_info& command, std::span<const std::string_view> words) noexcept;

/// The position of the first key, by which a command finds its node; 0 when there is none.
std::size_t first_key_of(const command_info& command,
                         std::span<const std::string_view> words) noexcept;

}  // namespace ouro::redis

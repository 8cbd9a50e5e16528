#include <ouro/kv/redis/wire/key_spec.hpp>

#include <ouro/kv/redis/wire/command_table.hpp>
#include <ouro/runtime/check.hpp>

#include <charconv>
#include <optional>

namespace ouro::redis {

namespace {

using words_view = std::span<const std::string_view>;

// Redis compares its keywords without regard to case. `upper` is in upper case.
bool same_word(std::string_view any, std::string_view upper) noexcept {
    if (any.size() != upper.size()) return false;
    for (std::size_t i = 0; i < any.size(); ++i) {
        const char c = any[i];
        if ((c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c) != upper[i]) return false;
    }
    return true;
}

std::optional<std::size_t> number(std::string_view digits) noexcept {
    std::size_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    return value;
}

key_range one_key(std::size_t at) noexcept { return {static_cast<std::uint32_t>(at), 1, 1}; }

// The positions first, first + step, … up to `last` inclusive, which must be a word of the command.
std::optional<key_range> up_to(std::size_t first, std::size_t last, std::size_t step,
                               std::size_t words) noexcept {
    if (first > last || last >= words) return std::nullopt;
    return key_range{static_cast<std::uint32_t>(first),
                     static_cast<std::uint32_t>((last - first) / step + 1),
                     static_cast<std::uint32_t>(step)};
}

std::optional<key_range> extent(const key_spec& spec, std::size_t first,
                                words_view words) noexcept {
    if (first >= words.size()) return std::nullopt;
    if (spec.counted) {
        const auto keys = number(words[first]);
        if (!keys || *keys == 0 || *keys >= words.size()) return std::nullopt;
        return up_to(first + 1, first + *keys * spec.step, spec.step, words.size());
    }
    if (spec.last >= 0)
        return up_to(first, first + static_cast<std::size_t>(spec.last), spec.step, words.size());
    const std::size_t end = first + (words.size() - first) / spec.share;
    const auto back = static_cast<std::size_t>(-spec.last);
    if (end < back) return std::nullopt;
    return up_to(first, end - back, spec.step, words.size());
}

std::optional<key_range> after_word(const key_spec& spec, words_view words) noexcept {
    // The last word is never the keyword: something has to follow it.
    for (auto at = static_cast<std::size_t>(spec.index); at + 1 < words.size(); ++at)
        if (same_word(words[at], spec.word)) return extent(spec, at + 1, words);
    return std::nullopt;
}

std::optional<key_range> sort_store(words_view words) noexcept {
    std::optional<key_range> found;
    for (std::size_t at = 2; at < words.size(); ++at) {
        if (same_word(words[at], "LIMIT")) {
            at += 2;
        } else if (same_word(words[at], "GET") || same_word(words[at], "BY")) {
            at += 1;
        } else if (same_word(words[at], "STORE") && at + 1 < words.size()) {
            found = one_key(++at);
        }
    }
    return found;
}

std::optional<key_range> migrate_keys(words_view words) noexcept {
    if (words.size() < 4) return std::nullopt;
    for (std::size_t at = 6; at < words.size(); ++at) {
        if (same_word(words[at], "AUTH")) {
            at += 1;
        } else if (same_word(words[at], "AUTH2")) {
            at += 2;
        } else if (same_word(words[at], "KEYS")) {
            if (!words[3].empty() || at + 1 == words.size()) break;
            return up_to(at + 1, words.size() - 1, 1, words.size());
        }
    }
    return one_key(3);
}

std::optional<key_range> range_of(const key_spec& spec, words_view words) noexcept {
    switch (spec.begin) {
        case key_spec::beginning::at_index:
            return extent(spec, static_cast<std::size_t>(spec.index), words);
        case key_spec::beginning::after_word: return after_word(spec, words);
        case key_spec::beginning::sort_store: return sort_store(words);
        case key_spec::beginning::migrate_keys: return migrate_keys(words);
    }
    return std::nullopt;
}

}  // namespace

std::size_t key_ranges::size() const noexcept {
    std::size_t keys = 0;
    for (const key_range& each : ranges()) keys += each.count;
    return keys;
}

void key_ranges::add(key_range range) noexcept {
    OURO_ASSERT(used_ < ranges_.size() && range.count > 0);
    ranges_[used_++] = range;
}

key_ranges keys_of(const command_info& command, words_view words) noexcept {
    key_ranges found;
    if (!command.takes(words.size())) return found;
    for (const key_spec& each : command.keys)
        if (const auto range = range_of(each, words)) found.add(*range);
    return found;
}

std::size_t first_key_of(const command_info& command, words_view words) noexcept {
    const key_ranges keys = keys_of(command, words);
    return keys.empty() ? 0 : keys.ranges().front().first;
}

}  // namespace ouro::redis

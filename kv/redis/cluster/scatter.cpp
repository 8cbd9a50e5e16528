#include <ouro/kv/redis/cluster/scatter.hpp>

#include <ouro/kv/redis/error.hpp>

#include <algorithm>
#include <map>
#include <utility>

namespace ouro::redis {
namespace {

/// The words that go with each key: the key, and in MSET its value.
std::size_t words_per_key(const command_info& what) noexcept {
    return std::max<std::size_t>(what.key_step, 1);
}

std::vector<std::string_view> words_of(std::span<const std::byte> encoded) {
    word_reader reader(encoded);
    std::vector<std::string_view> words(reader.begin_command());
    for (std::string_view& each : words) each = reader.next();
    return words;
}

const reply* first_error(std::span<const reply> all) noexcept {
    const auto found =
        std::find_if(all.begin(), all.end(), [](const reply& each) { return each.is_error(); });
    return found == all.end() ? nullptr : &*found;
}

std::int64_t combine(response_policy policy, std::int64_t a, std::int64_t b) noexcept {
    switch (policy) {
        case response_policy::agg_min:
        case response_policy::agg_logical_and: return std::min(a, b);
        case response_policy::agg_max:
        case response_policy::agg_logical_or: return std::max(a, b);
        default: return a + b;
    }
}

}  // namespace

bool may_be_split(const command_info& what) noexcept {
    return what.request == request_policy::multi_shard && what.id != verb::msetnx &&
           what.first_key == 1 && what.last_key == -1;
}

std::vector<command_part> split_by_slot(const command_info& what,
                                        std::span<const std::byte> encoded) {
    const std::size_t step = words_per_key(what);
    if (word_reader(encoded).begin_command() <= 1 + step) return {};  // one key
    const std::vector<std::string_view> words = words_of(encoded);
    std::map<std::uint16_t, std::vector<std::uint32_t>> places;
    for (std::size_t at = 1; at + step <= words.size(); at += step)
        places[slot_of(words[at])].push_back(static_cast<std::uint32_t>((at - 1) / step));
    std::vector<command_part> parts;
    // One that is not well formed goes out whole: the server says what is wrong with it.
    if (places.size() < 2 || (words.size() - 1) % step != 0) return parts;

    std::vector<std::string_view> chosen;
    for (auto& [slot, keys] : places) {
        chosen.clear();
        for (const std::uint32_t key : keys)
            chosen.insert(chosen.end(), words.begin() + static_cast<std::ptrdiff_t>(1 + key * step),
                          words.begin() + static_cast<std::ptrdiff_t>(1 + (key + 1) * step));
        const arg list{std::span<const std::string_view>(chosen)};
        parts.push_back({slot, command(what, std::span(&list, 1)), std::move(keys)});
    }
    return parts;
}

std::optional<std::uint16_t> slot_of_command(const command_info& what,
                                             std::span<const std::byte> encoded) {
    if (what.first_key > 0 && !what.is(command_flag::movable_keys)) {
        word_reader reader(encoded);
        std::size_t left = reader.begin_command();
        if (static_cast<std::size_t>(what.first_key) >= left) return {};
        for (std::int16_t skipped = 0; skipped < what.first_key; ++skipped) reader.next();
        return slot_of(reader.next());
    }
    if (what.keys.empty()) return {};
    const std::vector<std::string_view> words = words_of(encoded);
    const std::size_t at = first_key_of(what, words);
    return at == 0 ? std::optional<std::uint16_t>() : slot_of(words[at]);
}

bool agree_on_slot(const command_info& what, std::span<const std::byte> encoded,
                   std::optional<std::uint16_t>& slot) {
    if (what.keys.empty()) return true;
    const std::vector<std::string_view> words = words_of(encoded);
    for (const std::uint32_t at : keys_of(what, words)) {
        const std::uint16_t its = slot_of(words[at]);
        if (slot && *slot != its) return false;
        slot = its;
    }
    return true;
}

joined_reply joined_reply::make(response_policy policy, std::span<const reply> all,
                                std::span<const command_part> parts) {
    joined_reply made;
    const reply* const wrong = first_error(all);
    if (policy == response_policy::one_succeeded) {
        const auto good = std::find_if(all.begin(), all.end(),
                                       [](const reply& each) { return !each.is_error(); });
        made.add(good == all.end() ? *wrong : *good);
    } else if (wrong) {
        made.add(*wrong);
    } else if (policy != response_policy::none) {
        made.fold(policy, all);
    } else if (!parts.empty()) {
        made.place_elements(all, parts);
    } else {
        made.join_arrays(all);
    }
    return made;
}

void joined_reply::place_elements(std::span<const reply> all, std::span<const command_part> parts) {
    std::vector<std::optional<value>> elements;
    for (std::size_t part = 0; part < parts.size(); ++part) {
        const std::vector<std::uint32_t>& places = parts[part].places;
        if (all[part].size() != places.size()) {
            error_ = errc::unexpected_reply;
            return;
        }
        auto at = all[part].begin();
        for (const std::uint32_t place : places) {
            if (elements.size() <= place) elements.resize(place + 1);
            elements[place] = *at++;
        }
    }
    add_array(elements.size());
    for (const std::optional<value>& each : elements) add(*each);
    end_array();
}

void joined_reply::join_arrays(std::span<const reply> all) {
    if (!all.front().root().is_aggregate()) {
        const auto something =
            std::find_if(all.begin(), all.end(), [](const reply& each) { return !each.is_null(); });
        add(something == all.end() ? all.front() : *something);
        return;
    }
    std::size_t elements = 0;
    for (const reply& each : all) elements += each.size();
    add_array(elements);
    for (const reply& each : all)
        for (const value& element : each) add(element);
    end_array();
}

void joined_reply::fold(response_policy policy, std::span<const reply> all) {
    const bool counts =
        policy != response_policy::all_succeeded && policy != response_policy::special;
    if (!counts) {
        add(all.front());
        return;
    }
    if (all.front().root().is_aggregate()) {
        fold_arrays(policy, all);
        return;
    }
    std::optional<std::int64_t> folded;
    for (const reply& each : all) {
        if (each.kind() != type::integer) {
            error_ = errc::unexpected_reply;
            return;
        }
        folded = folded ? combine(policy, *folded, each.integer()) : each.integer();
    }
    add(*folded);
}

void joined_reply::fold_arrays(response_policy policy, std::span<const reply> all) {
    std::vector<std::int64_t> folded;
    for (const reply& each : all) {
        if (&each != &all.front() && each.size() != folded.size()) error_ = errc::unexpected_reply;
        std::size_t at = 0;
        for (const value& element : each) {
            if (element.kind() != type::integer) error_ = errc::unexpected_reply;
            if (error_) return;
            const std::int64_t number = element.integer();
            if (&each == &all.front())
                folded.push_back(number);
            else
                folded[at] = combine(policy, folded[at], number);
            ++at;
        }
    }
    if (error_) return;
    add_array(folded.size());
    for (const std::int64_t number : folded) add(number);
    end_array();
}

void joined_reply::add_array(std::size_t elements) {
    node array;
    array.kind = type::array;
    array.count = elements;
    nodes_.push_back(array);
}

void joined_reply::end_array() noexcept {
    nodes_.front().span = static_cast<std::uint32_t>(nodes_.size());
}

void joined_reply::add(std::int64_t number) {
    node integer;
    integer.kind = type::integer;
    integer.integer = number;
    nodes_.push_back(integer);
}

}  // namespace ouro::redis

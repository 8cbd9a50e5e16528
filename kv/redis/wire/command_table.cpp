#include <ouro/kv/redis/wire/command_table.hpp>

#include <ouro/kv/redis/wire/command_rows.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

namespace ouro::redis {

namespace {

using command_rows::row;
using command_rows::rows;

constexpr std::size_t count = std::size(rows);
static_assert(count == static_cast<std::size_t>(verb::any));

// Calls `put` with every character of the name's words as RESP bulk strings; returns how many
// words there are. No word has 100 characters.
template <class Put>
constexpr std::uint8_t encode(std::string_view name, Put put) {
    std::uint8_t words = 0;
    while (!name.empty()) {
        const std::string_view word = name.substr(0, name.find(' '));
        name.remove_prefix(std::min(word.size() + 1, name.size()));
        put('$');
        if (word.size() >= 10) put(static_cast<char>('0' + word.size() / 10));
        put(static_cast<char>('0' + word.size() % 10));
        for (const char c : {'\r', '\n'}) put(c);
        for (const char c : word) put(c);
        for (const char c : {'\r', '\n'}) put(c);
        ++words;
    }
    return words;
}

constexpr std::size_t encoded_bytes = [] {
    std::size_t bytes = 0;
    for (const row& each : rows) encode(each.name, [&bytes](char) { ++bytes; });
    return bytes;
}();

constexpr std::array<char, encoded_bytes> encoded = [] {
    std::array<char, encoded_bytes> bytes{};
    std::size_t used = 0;
    for (const row& each : rows) encode(each.name, [&](char c) { bytes[used++] = c; });
    return bytes;
}();

constexpr std::array<command_info, count + 1> table = [] {
    std::array<command_info, count + 1> infos{};
    std::size_t used = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const row& from = rows[i];
        command_info& to = infos[i];
        const std::size_t begin = used;
        to.words = encode(from.name, [&used](char) { ++used; });
        to.encoded = std::string_view(encoded.data() + begin, used - begin);
        to.id = static_cast<verb>(i);
        to.name = from.name;
        to.arity = from.arity;
        to.first_key = from.first_key;
        to.last_key = from.last_key;
        to.key_step = from.key_step;
        to.numkeys_at = from.numkeys_at;
        to.flags = from.flags;
        to.request = from.request;
        to.response = from.response;
        to.keys = std::span(command_rows::key_specs).subspan(from.specs_at, from.specs);
    }
    infos[count].id = verb::any;
    infos[count].name = infos[count].encoded = "";
    infos[count].arity = -1;
    return infos;
}();

constexpr bool sorted = [] {
    for (std::size_t i = 1; i < count; ++i)
        if (table[i - 1].name >= table[i].name) return false;
    return true;
}();
static_assert(sorted, "find_command searches by halves");

constexpr std::size_t name_bytes_max = [] {
    std::size_t most = 0;
    for (const command_info& each : table) most = std::max(most, each.name.size());
    return most;
}();

// Where the names begin with each letter: most searches end after one or two steps.
constexpr std::array<std::uint16_t, 27> letters = [] {
    std::array<std::uint16_t, 27> begins{};
    for (std::size_t i = 0; i < count; ++i)
        for (int letter = table[i].name[0] - 'A' + 1; letter < 27; ++letter)
            begins[static_cast<std::size_t>(letter)] = static_cast<std::uint16_t>(i + 1);
    return begins;
}();

char upper(char c) noexcept { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

const command_info* find_name(std::string_view name) noexcept {  // in upper case, not empty
    if (name[0] < 'A' || name[0] > 'Z') return nullptr;
    const auto letter = static_cast<std::size_t>(name[0] - 'A');
    const command_info* const end = table.data() + letters[letter + 1];
    const command_info* const found = std::lower_bound(
        table.data() + letters[letter], end, name,
        [](const command_info& each, std::string_view wanted) { return each.name < wanted; });
    return found != end && found->name == name ? found : nullptr;
}

}  // namespace

const command_info& info(verb which) noexcept { return table[static_cast<std::size_t>(which)]; }

std::span<const command_info> all_commands() noexcept { return std::span(table).first(count); }

const command_info* find_command(std::string_view word, std::string_view second) noexcept {
    std::array<char, name_bytes_max> name;
    if (word.empty() || word.size() > name.size()) return nullptr;
    std::transform(word.begin(), word.end(), name.begin(), upper);
    const command_info* const found = find_name({name.data(), word.size()});
    if (!found || !found->is(command_flag::container) || second.empty()) return found;

    const std::size_t size = word.size() + 1 + second.size();
    if (size > name.size()) return nullptr;
    name[word.size()] = ' ';
    std::transform(second.begin(), second.end(), name.data() + word.size() + 1, upper);
    return find_name({name.data(), size});
}

}  // namespace ouro::redis

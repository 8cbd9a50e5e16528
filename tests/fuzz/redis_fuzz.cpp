// Any bytes as what a Redis server sends: nothing crashes, the pieces in which they arrive change
// nothing, and what was read can be encoded, copied, printed and decoded.
#include <ouro/kv/redis/wire/command.hpp>
#include <ouro/kv/redis/wire/decode.hpp>
#include <ouro/kv/redis/wire/resp.hpp>
#include <ouro/runtime/check.hpp>
#include <ouro/tests/kv/redis/resp_reading.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

using namespace ouro::redis;

namespace {

// Small enough to be met.
constexpr resp_limits narrow{.bulk_bytes_max = 40,
                             .line_bytes_max = 20,
                             .elements_max = 12,
                             .depth_max = 3,
                             .reply_bytes_max = 100};

struct point {
    int x = 0;
    std::optional<std::string> name;

    static constexpr auto redis_fields() {
        return std::tuple(field("x", &point::x), field("name", &point::name));
    }
};

parsed check_pieces(std::string_view bytes, std::size_t cut, const resp_limits& limits) {
    const parsed whole = read_whole(bytes, limits);
    OURO_ASSERT(read_bytewise(bytes, limits) == whole);
    OURO_ASSERT(read_pieces(bytes, std::array{cut}, limits) == whole);
    OURO_ASSERT(whole.used <= bytes.size());
    return whole;
}

void check_copies(const value& what) {
    const std::string means = notation(what);
    const parsed again = read_whole(encoded(what));
    OURO_ASSERT(!again.error && again.replies == std::vector{means});

    reply copy(what);
    OURO_ASSERT(notation(copy) == means);
    if (!what.empty()) {
        const std::string last = notation(what[what.size() - 1]);
        copy.assign(copy[copy.size() - 1]);
        OURO_ASSERT(notation(copy) == last);
    }
    OURO_ASSERT(to_text(what, 20).size() <= 20 + std::string_view("...").size());
}

// Either it can be decoded, or there is an error; nothing in between.
template <class T>
void check_decoding(const value& what) {
    T made = blank<T>::make();
    const std::error_code error = decode(what, made);
    OURO_ASSERT(!(what.is_error() && !error && !std::is_same_v<T, ouro::result<int>> &&
                  !std::is_same_v<T, reply>));
}

void check_all_decodings(const value& what) {
    check_decoding<std::string>(what);
    check_decoding<std::vector<std::byte>>(what);
    check_decoding<std::int8_t>(what);
    check_decoding<std::uint64_t>(what);
    check_decoding<float>(what);
    check_decoding<bool>(what);
    check_decoding<std::optional<std::int64_t>>(what);
    check_decoding<ouro::result<int>>(what);
    check_decoding<std::vector<ouro::result<std::string>>>(what);
    check_decoding<std::set<double>>(what);
    check_decoding<std::map<std::string, std::vector<int>>>(what);
    check_decoding<std::vector<std::pair<std::string, std::optional<double>>>>(what);
    check_decoding<std::tuple<std::string, bool>>(what);
    check_decoding<std::array<reply, 2>>(what);
    check_decoding<std::vector<point>>(what);
    check_decoding<point>(what);
    for (const value& element : what) check_all_decodings(element);
}

// The lines of the input as the words of a command.
void check_command(std::string_view bytes) {
    std::vector<std::string_view> words;
    for (std::size_t at = 0; at <= bytes.size();) {
        const std::size_t end = std::min(bytes.find('\n', at), bytes.size());
        words.push_back(bytes.substr(at, end - at));
        at = end + 1;
    }
    const std::array<arg, 1> arguments{std::span<const std::string_view>(words)};
    const command made("", arguments);
    OURO_ASSERT(made.words() == words);
    made.first_key();

    resp_parser parser;
    const auto size = parser.parse(made.bytes());
    OURO_ASSERT(size && *size == made.bytes().size());
    const value array = parser.root();
    OURO_ASSERT(array.kind() == type::array && array.size() == words.size());
    std::size_t index = 0;
    for (const value& word : array) OURO_ASSERT(word.text() == words[index++]);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const std::size_t cut = size == 0 ? 0 : (data[0] * 31U + data[size - 1]) % size;
    check_pieces(bytes, cut, narrow);
    const parsed wide = check_pieces(bytes, cut, {});

    resp_parser parser;
    std::span<const std::byte> left = std::as_bytes(std::span(data, size));
    for (const std::string& means : wide.replies) {
        const std::size_t used = *parser.parse(left);
        left = left.subspan(used);
        OURO_ASSERT(notation(parser.root()) == means);
        check_copies(parser.root());
        check_all_decodings(parser.root());
    }
    check_command(bytes);
    return 0;
}

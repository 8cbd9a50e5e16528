#include <ouro/kv/redis/wire/resp.hpp>

#include <ouro/kv/redis/error.hpp>

#include <algorithm>
#include <charconv>

namespace ouro::redis {
namespace {

constexpr std::size_t line_end_bytes = 2;  // "\r\n"

// Memory that the parser keeps from one reply to the next.
constexpr std::size_t nodes_kept_max = 16 * 1024;

bool is_line_end(std::string_view in, std::size_t at) noexcept {
    return in[at] == '\r' && in[at + 1] == '\n';
}

bool is_big_number(std::string_view text) noexcept {
    if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool read_real(std::string_view text, double& into) noexcept {
    using limits = std::numeric_limits<double>;
    if (text.starts_with('+')) {
        text.remove_prefix(1);
        if (text.starts_with('-')) return false;
    }
    if (text == "inf") {
        into = limits::infinity();
    } else if (text == "-inf") {
        into = -limits::infinity();
    } else if (text == "nan" || text == "-nan") {
        into = limits::quiet_NaN();
    } else {
        // from_chars would take words such as "infinity", too.
        if (text.find_first_not_of("0123456789+-.eE") != std::string_view::npos) return false;
        const char* const end = text.data() + text.size();
        const auto [stop, error] = std::from_chars(text.data(), end, into);
        return stop == end && error == std::errc();
    }
    return true;
}

// What a line says whose mark is none of those that count something.
bool read_line(char mark, std::string_view text, node& into) noexcept {
    switch (mark) {
        case '+': into.kind = type::status; return true;
        case '-': into.kind = type::error; return true;
        case '(': into.kind = type::big_number; return is_big_number(text);
        case '_': return text.empty();
        case '#':
            into.kind = type::boolean;
            into.truth = text == "t";
            return text == "t" || text == "f";
        default: break;
    }
    double real = 0;
    const bool good = read_real(text, real);
    into.kind = type::real;
    into.real = real;
    return good;
}

type aggregate_of(char mark) noexcept {
    switch (mark) {
        case '*': return type::array;
        case '~': return type::set;
        case '>': return type::push;
        default: return type::map;
    }
}

}  // namespace

void resp_parser::reset() noexcept {
    start();
    error_ = {};
}

void resp_parser::start() noexcept {
    if (nodes_.capacity() > nodes_kept_max) nodes_ = std::vector<node>();
    nodes_.clear();
    open_.clear();
    at_ = searched_ = wanted_ = 0;
    complete_ = stopped_in_line_ = lenient_ = overlong_ = false;
}

bool resp_parser::go_on() noexcept {
    if (!stopped_in_line_) return false;
    stopped_in_line_ = false;
    lenient_ = true;
    error_ = {};
    return true;
}

result<std::size_t> resp_parser::parse(std::span<const std::byte> arrived) {
    if (complete_) start();
    if (error_) return error_;
    const std::string_view in(reinterpret_cast<const char*>(arrived.data()), arrived.size());
    OURO_ASSERT(in.size() >= at_);
    while (in.size() > at_ && in.size() >= wanted_) {
        const step done = next(in);
        if (done == step::failed) return error_;
        if (done == step::more) break;
        if (complete_) {
            bytes_ = in.data();
            return at_;
        }
    }
    return std::size_t{0};
}

// Reads one element, or the head of an aggregate, which begins at `at_`. Every decision is made
// at the first byte that allows it, so that the pieces in which bytes arrive change nothing.
resp_parser::step resp_parser::next(std::string_view in) {
    switch (in[at_]) {
        case '$':
        case '!':
        case '=': return bulk(in);
        case ':': return integer(in);
        case '+':
        case '-':
        case '_':
        case '#':
        case ',':
        case '(': return line(in);
        case '*':
        case '~':
        case '%':
        case '|':
        case '>': return aggregate(in);
        default: return fail(errc::protocol_error);
    }
}

resp_parser::step resp_parser::line(std::string_view in) {
    const std::size_t begin = at_ + 1;
    const std::size_t most = lenient_ ? limits_.reply_bytes_max : limits_.line_bytes_max;
    // The longest line ends with the last byte of these.
    const std::string_view near = in.substr(0, begin + std::min(most, in.size()) + 1);
    const std::size_t end = near.find('\r', std::max(begin, searched_));
    if (end == std::string_view::npos) {
        searched_ = near.size();
        if (near.size() - begin <= most) return step::more;
        stopped_in_line_ = !lenient_;
        return fail(ouro::errc::limit_exceeded);
    }
    searched_ = end;
    if (end + 1 == in.size()) return step::more;
    const std::string_view text = in.substr(begin, end - begin);
    node made;
    if (in[end + 1] != '\n' || text.find('\n') != std::string_view::npos ||
        !read_line(in[at_], text, made))
        return fail(errc::protocol_error);
    const bool too_long = text.size() > limits_.line_bytes_max;
    if (too_long && made.kind != type::error) overlong_ = true;
    const std::size_t kept = too_long ? limits_.line_bytes_max : text.size();
    if (has_text(made.kind))
        made.text = {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(kept)};
    return add(made, end + line_end_bytes);
}

resp_parser::step resp_parser::integer(std::string_view in) {
    node made;
    made.kind = type::integer;
    std::int64_t read = 0;
    std::size_t end = 0;
    const step head = number(in, read, end);
    made.integer = read;
    return head == step::element ? add(made, end) : head;
}

resp_parser::step resp_parser::bulk(std::string_view in) {
    std::int64_t size = 0;
    std::size_t begin = 0;
    if (const step head = length(in, size, begin); head != step::element) return head;
    const char mark = in[at_];
    if (size < 0) return mark == '$' ? add(node{}, begin) : fail(errc::protocol_error);

    const auto bytes = static_cast<std::size_t>(size);
    const std::size_t end = begin + bytes;
    if (bytes > limits_.bulk_bytes_max || end + line_end_bytes > limits_.reply_bytes_max)
        return fail(ouro::errc::limit_exceeded);
    wanted_ = end + line_end_bytes;
    if (in.size() < wanted_) return step::more;
    if (!is_line_end(in, end)) return fail(errc::protocol_error);

    node made;
    made.kind = mark == '$' ? type::string : type::error;
    if (mark == '=') {  // a format of three letters and a colon stand before the text
        if (bytes < 4 || in[begin + 3] != ':') return fail(errc::protocol_error);
        begin += 4;
        made.kind = type::verbatim;
    }
    made.text = {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end - begin)};
    return add(made, wanted_);
}

resp_parser::step resp_parser::aggregate(std::string_view in) {
    std::int64_t size = 0;
    std::size_t end = 0;
    if (const step head = length(in, size, end); head != step::element) return head;
    const char mark = in[at_];
    if (size < 0) return mark == '*' ? add(node{}, end) : fail(errc::protocol_error);
    // Out of band is out of band: a push inside a reply would be lost in it.
    if (mark == '>' && !open_.empty()) return fail(errc::protocol_error);

    node made;
    made.kind = aggregate_of(mark);
    made.count = static_cast<std::uint64_t>(size) * (made.kind == type::map ? 2 : 1);
    if (open_.size() >= limits_.depth_max || nodes_.size() >= limits_.elements_max ||
        made.count > limits_.elements_max - nodes_.size() - 1)
        return fail(ouro::errc::limit_exceeded);
    const bool attribute = mark == '|';
    if (made.count > 0 || attribute)
        open_.push_back({static_cast<std::uint32_t>(nodes_.size()), attribute, made.count + 1});
    return add(made, end);
}

// Reads the number that follows the mark at `at_`; the line ends before `end`.
resp_parser::step resp_parser::number(std::string_view in, std::int64_t& into,
                                      std::size_t& end) noexcept {
    // Nothing that fits has more digits, and no number of so many overflows 64 bits unsigned.
    constexpr std::size_t digits_max = 19;
    std::size_t at = at_ + 1;
    if (at == in.size()) return step::more;
    const bool negative = in[at] == '-';
    if (negative || in[at] == '+') ++at;
    const std::size_t first = at;
    std::uint64_t magnitude = 0;
    for (; at < in.size(); ++at) {
        const unsigned digit = static_cast<unsigned char>(in[at]) - unsigned{'0'};
        if (digit > 9) break;
        if (at - first == digits_max) return fail(errc::protocol_error);
        magnitude = 10 * magnitude + digit;
    }
    if (at == in.size()) return step::more;
    constexpr auto positive_max =
        static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (at == first || in[at] != '\r' || magnitude > positive_max + (negative ? 1 : 0))
        return fail(errc::protocol_error);
    if (at + 1 == in.size()) return step::more;
    if (in[at + 1] != '\n') return fail(errc::protocol_error);
    into = static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude);
    end = at + line_end_bytes;
    return step::element;
}

// The same for a length, which has no sign, except that -1 is RESP2's null.
resp_parser::step resp_parser::length(std::string_view in, std::int64_t& into,
                                      std::size_t& end) noexcept {
    const step head = number(in, into, end);
    if (head != step::element) return head;
    const char first = in[at_ + 1];
    const bool digit = first != '-' && first != '+';
    return digit || into == -1 ? head : fail(errc::protocol_error);
}

resp_parser::step resp_parser::add(const node& what, std::size_t end) {
    if (nodes_.size() == limits_.elements_max || end > limits_.reply_bytes_max)
        return fail(ouro::errc::limit_exceeded);
    nodes_.push_back(what);
    at_ = end;  // and what is searched or wanted does not lie behind it
    close_full();
    return step::element;
}

// An element is complete, or the head of an aggregate: with it perhaps the aggregates that it is
// the last of.
void resp_parser::close_full() noexcept {
    while (!open_.empty()) {
        open& top = open_.back();
        if (--top.left > 0) return;
        const std::uint32_t index = top.index;
        const bool attribute = top.attribute;
        open_.pop_back();
        if (attribute) {  // what it describes comes next, in its place
            nodes_.resize(index);
            return;
        }
        OURO_ASSERT(index < nodes_.size());
        nodes_[index].span = static_cast<std::uint32_t>(nodes_.size() - index);
    }
    complete_ = true;
}

resp_parser::step resp_parser::fail(std::error_code why) noexcept {
    error_ = why;
    return step::failed;
}

}  // namespace ouro::redis

// value.hpp: one reply of Redis: a tree of typed values, as a view or as a copy of one's own.
#pragma once

#include <ouro/runtime/check.hpp>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace ouro::redis {

/// The types of RESP3, to which those of RESP2 are mapped ("$-1" and "*-1" are null).
enum class type : std::uint8_t {
    null,
    string,   ///< a bulk string: any bytes
    status,   ///< a simple string: "OK"
    error,    ///< a simple or bulk error: "WRONGTYPE Operation against…"
    integer,  ///< signed, 64 bits
    real,     ///< a double; may be infinite or not a number
    boolean,
    big_number,  ///< an integer of any length, as decimal digits
    verbatim,    ///< text with a format of three letters ("txt", "mkd")
    array,
    set,
    map,   ///< pairs; its elements are key, value, key, value…
    push,  ///< out of band: a pub/sub message, an invalidation
};

/// The English word for a type.
const char* to_string(type kind) noexcept;

/// Whether values of a type have a text.
constexpr bool has_text(type kind) noexcept {
    return (kind >= type::string && kind <= type::error) || kind == type::big_number ||
           kind == type::verbatim;
}

/// One value of a reply, in the order in which they arrived: an element behind its aggregate.
struct node {
    /// Where the text lies in the bytes of the reply.
    struct place {
        std::uint32_t offset;
        std::uint32_t size;
    };

    type kind = type::null;
    bool truth = false;      ///< of a boolean
    std::uint32_t span = 1;  ///< how many nodes it consists of: itself and everything inside
    union {
        place text{};  ///< string, status, error, big_number, verbatim (behind its format)
        std::int64_t integer;
        double real;
        std::uint64_t count;  ///< of the elements of an aggregate; a map has two for each pair
    };
};

/// A view of one value of a reply, and of what is inside. Two words; copy it.
///
/// Valid as long as the reply it came from: what a session hands out, until that call returns.
class value {
public:
    class iterator;

    value(const node& at, const char* bytes) noexcept : at_(&at), bytes_(bytes) {}

    type kind() const noexcept { return at_->kind; }
    bool is_null() const noexcept { return kind() == type::null; }
    bool is_error() const noexcept { return kind() == type::error; }
    bool is_aggregate() const noexcept { return kind() >= type::array; }
    bool has_text() const noexcept { return redis::has_text(kind()); }

    /// The text of a string, status, error, big number or verbatim string (without its format).
    std::string_view text() const noexcept {
        OURO_ASSERT(has_text());
        return {bytes_ + at_->text.offset, at_->text.size};
    }
    /// The three letters of a verbatim string's format.
    std::string_view format() const noexcept {
        OURO_ASSERT(kind() == type::verbatim);
        return {bytes_ + at_->text.offset - 4, 3};
    }
    std::int64_t integer() const noexcept {
        OURO_ASSERT(kind() == type::integer);
        return at_->integer;
    }
    double real() const noexcept {
        OURO_ASSERT(kind() == type::real);
        return at_->real;
    }
    bool boolean() const noexcept {
        OURO_ASSERT(kind() == type::boolean);
        return at_->truth;
    }

    /// How many elements an aggregate has; a map has two for each pair. 0 for everything else.
    std::size_t size() const noexcept {
        return is_aggregate() ? static_cast<std::size_t>(at_->count) : 0;
    }
    bool empty() const noexcept { return size() == 0; }
    /// The elements in order. Finding element `index` takes `index` steps.
    iterator begin() const noexcept;
    iterator end() const noexcept;
    value operator[](std::size_t index) const noexcept;

    /// Appends a copy of it: its nodes, and the bytes to which these then refer, which must not
    /// be those that it is a view of. At most 4 GiB of bytes in all.
    void append_to(std::vector<node>& nodes, std::string& bytes) const;

private:
    friend class reply;

    const node* at_;
    const char* bytes_;
};

/// Walks the elements of an aggregate.
class value::iterator {
public:
    using value_type = value;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::input_iterator_tag;

    iterator() noexcept = default;
    iterator(const node* at, const char* bytes) noexcept : at_(at), bytes_(bytes) {}

    value operator*() const noexcept { return {*at_, bytes_}; }
    iterator& operator++() noexcept {
        at_ += at_->span;
        return *this;
    }
    iterator operator++(int) noexcept {
        const iterator before = *this;
        ++*this;
        return before;
    }
    bool operator==(const iterator& other) const noexcept { return at_ == other.at_; }

private:
    const node* at_ = nullptr;
    const char* bytes_ = nullptr;
};

inline value::iterator value::begin() const noexcept {
    return {at_ + (is_aggregate() ? 1 : at_->span), bytes_};
}
inline value::iterator value::end() const noexcept { return {at_ + at_->span, bytes_}; }

inline value value::operator[](std::size_t index) const noexcept {
    OURO_ASSERT(index < size());
    iterator at = begin();
    while (index-- > 0) ++at;
    return *at;
}

/// A value with memory of its own. A new one, and one that was moved from, is null.
class reply {
public:
    reply() noexcept = default;
    explicit reply(const value& from);

    /// Copies `from`, which may be a part of this very reply, into the memory that is here.
    void assign(const value& from);

    value root() const noexcept {
        return {nodes_.empty() ? null_node : nodes_.front(), bytes_.data()};
    }
    operator value() const noexcept { return root(); }

    // The same questions as of value.
    type kind() const noexcept { return root().kind(); }
    bool is_null() const noexcept { return root().is_null(); }
    bool is_error() const noexcept { return root().is_error(); }
    std::string_view text() const noexcept { return root().text(); }
    std::int64_t integer() const noexcept { return root().integer(); }
    double real() const noexcept { return root().real(); }
    bool boolean() const noexcept { return root().boolean(); }
    std::size_t size() const noexcept { return root().size(); }
    value operator[](std::size_t index) const noexcept { return root()[index]; }
    value::iterator begin() const noexcept { return root().begin(); }
    value::iterator end() const noexcept { return root().end(); }

private:
    static constexpr node null_node{};

    std::vector<node> nodes_;  // empty: null
    std::string bytes_;
};

/// For people: like redis-cli, on one line: `["a" 1 (nil)]`. Control characters are escaped; what
/// is longer than `bytes_max` is cut there and ends with "...". Recursive, as deep as `what`.
std::string to_text(const value& what, std::size_t bytes_max = 1000);

}  // namespace ouro::redis

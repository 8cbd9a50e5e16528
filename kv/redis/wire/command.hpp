// command.hpp: a command and its arguments, encoded: what is sent, kept and sent again.
#pragma once

#include <ouro/kv/redis/wire/command_table.hpp>
#include <ouro/net/bytes/chunk.hpp>
#include <ouro/runtime/check.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace ouro::redis {

/// One argument of a command, or several in a row: a view, except for numbers.
///
/// Any bytes are good in an argument: they are counted, not quoted.
class arg {
public:
    using pair = std::pair<std::string_view, std::string_view>;

    arg(std::string_view text) noexcept : data_(text.data()), size_(text.size()) {}
    arg(const char* text) noexcept : arg(std::string_view(text)) {}
    arg(const std::string& text) noexcept : arg(std::string_view(text)) {}
    arg(std::span<const std::byte> bytes) noexcept : data_(bytes.data()), size_(bytes.size()) {}
    template <std::integral T>
        requires(!std::same_as<T, bool> && !std::same_as<T, char>)
    arg(T number) noexcept {
        if constexpr (std::signed_integral<T>)
            spell(static_cast<std::int64_t>(number));
        else
            spell(static_cast<std::uint64_t>(number));
    }
    template <std::floating_point T>
    arg(T number) noexcept {
        spell(static_cast<double>(number));
    }

    // Each element is an argument. What they refer to must stay until the command is made.
    arg(std::span<const std::string_view> list) noexcept
        : data_(list.data()), size_(list.size()), kind_(kind::views) {}
    arg(std::span<const std::string> list) noexcept
        : data_(list.data()), size_(list.size()), kind_(kind::strings) {}
    arg(std::span<const pair> list) noexcept
        : data_(list.data()), size_(list.size()), kind_(kind::pairs) {}

    /// How many words of the command it is.
    std::size_t words() const noexcept;
    /// Calls `each(std::string_view)` for every word.
    template <class F>
    void for_each(F each) const {
        switch (kind_) {
            case kind::text: each(std::string_view(static_cast<const char*>(data_), size_)); break;
            case kind::number: each(std::string_view(digits_, size_)); break;
            case kind::views:
                for (const std::string_view text : list<std::string_view>()) each(text);
                break;
            case kind::strings:
                for (const std::string& text : list<std::string>()) each(std::string_view(text));
                break;
            case kind::pairs:
                for (const pair& both : list<pair>()) {
                    each(both.first);
                    each(both.second);
                }
        }
    }

private:
    enum class kind : std::uint8_t { text, number, views, strings, pairs };

    template <class T>
    std::span<const T> list() const noexcept {
        return {static_cast<const T*>(data_), size_};
    }
    void spell(std::int64_t number) noexcept;
    void spell(std::uint64_t number) noexcept;
    void spell(double number) noexcept;

    const void* data_ = nullptr;
    std::size_t size_ = 0;
    char digits_[27];
    kind kind_ = kind::text;
};

/// Arguments that are put together step by step: a fixed number of them, without an allocation.
class arg_list {
public:
    arg_list() noexcept = default;

    void add(const arg& one) noexcept {
        OURO_ASSERT(size_ < capacity);
        ::new (memory_ + size_++ * sizeof(arg)) arg(one);
    }
    template <class... Args>
    void add(const arg& first, const Args&... more) noexcept {
        add(first);
        (add(arg(more)), ...);
    }
    operator std::span<const arg>() const noexcept {
        return {reinterpret_cast<const arg*>(memory_), size_};
    }

private:
    static constexpr std::size_t capacity = 24;

    alignas(arg) unsigned char memory_[capacity * sizeof(arg)];
    std::size_t size_ = 0;
};

/// The most words that Redis takes in one command, and the most bytes in one word.
constexpr std::size_t command_words_max = 1024 * 1024;
constexpr std::size_t word_bytes_max = 512UL * 1024 * 1024;

/// How large a command is when encoded.
struct encoded_size {
    std::size_t bytes = 0;  ///< 0: too large for Redis
    std::size_t words = 0;
};
encoded_size size_of(const command_info& what, std::span<const arg> arguments) noexcept;
/// Writes a command of that size.
void encode(const command_info& what, std::span<const arg> arguments, encoded_size size,
            char* into) noexcept;

/// Visits the words of encoded commands, which must be whole.
class word_reader {
public:
    explicit word_reader(std::span<const std::byte> encoded) noexcept
        : at_(reinterpret_cast<const char*>(encoded.data())), end_(at_ + encoded.size()) {}

    bool at_end() const noexcept { return at_ == end_; }
    /// Reads "*n": how many words the command that begins here has.
    std::size_t begin_command() noexcept { return number(); }
    std::string_view next() noexcept {
        const std::size_t size = number();
        OURO_ASSERT(size + 2 <= static_cast<std::size_t>(end_ - at_) && "a command that is whole");
        const std::string_view word(at_, size);
        at_ += size + 2;
        return word;
    }

private:
    std::size_t number() noexcept;

    const char* at_;
    const char* end_;
};

/// What the caller says of a command that is in no table: that it leaves its connection as it is,
/// and what else has to be known of it. Of one that is in the table, the table knows.
struct command_options {
    bool blocks = false;        ///< it may wait at the server: goes on a leased connection
    std::string_view key = {};  ///< one of its keys, by which a cluster finds the node; none: any
};
static_assert(std::is_trivially_copyable_v<command_options>);

/// A command as it is sent. Owns its bytes: short ones lie inside, those of a large one in a chunk,
/// which is sent, and sent again, without being copied once more.
class command {
public:
    /// From so many encoded bytes on it is large: more than a block of those that a writer copies
    /// into.
    static constexpr std::size_t large_bytes_min = 16 * 1024;

    command(verb what, std::span<const arg> arguments) : command(info(what), arguments) {}
    command(verb what, std::initializer_list<arg> arguments)
        : command(info(what), {arguments.begin(), arguments.size()}) {}
    command(const command_info& what, std::span<const arg> arguments);
    /// Any command by name, which may have several words, separated by spaces: "OBJECT ENCODING".
    /// One that is in no table counts as a write without a key.
    command(std::string_view name, std::span<const arg> arguments);
    /// The same, and what the caller knows of it.
    command(std::string_view name, std::span<const arg> arguments, const command_options& how);
    command(command&& other) noexcept;
    command(const command& other);
    command& operator=(command other) noexcept;
    ~command() {
        if (bytes_ != inside_) release();
    }

    /// The encoded bytes; empty when the command is too large for Redis, or has no word at all.
    std::span<const std::byte> bytes() const noexcept {
        return {reinterpret_cast<const std::byte*>(bytes_), size_};
    }
    bool too_large() const noexcept { return size_ == 0; }
    /// The same bytes, to be shared; null unless the command is large.
    const net::chunk* shared() const noexcept {
        return size_ >= large_bytes_min ? &memory_ : nullptr;
    }
    const command_info& info() const noexcept { return *info_; }
    /// Its first words: "CLIENT SETNAME".
    std::string_view name() const noexcept;

    /// Whether whoever made it has said what it does; see command_options.
    bool is_vouched_for() const noexcept { return vouched_for_; }
    /// … and that it may wait at the server.
    bool said_to_block() const noexcept { return said_to_block_; }
    /// … and the slot of its key.
    std::optional<std::uint16_t> said_slot() const noexcept {
        return said_slot_ < 0 ? std::nullopt
                              : std::optional(static_cast<std::uint16_t>(said_slot_));
    }

    /// How many words it has, those of its name included.
    std::size_t size() const noexcept { return words_; }
    /// Its words, the name's included: views of its bytes.
    std::vector<std::string_view> words() const;
    /// Its first key, by which a cluster finds the node; empty (and null) when it has none.
    /// Allocates only for commands whose keys have no fixed position.
    std::string_view first_key() const;

private:
    static const command_info& info(verb what) noexcept { return redis::info(what); }
    void take(std::size_t bytes) {
        if (bytes > inside_bytes) take_outside(bytes);
        size_ = bytes;
    }
    void take_outside(std::size_t bytes);
    void release() noexcept;

    static constexpr std::size_t inside_bytes = 104;

    const command_info* info_;
    char* bytes_ = inside_;
    std::size_t size_ = 0;
    std::uint32_t words_ = 0;
    std::int16_t said_slot_ = -1;
    bool vouched_for_ = false;
    bool said_to_block_ = false;
    union {
        char inside_[inside_bytes];  // of a short one
        net::chunk memory_;          // of a large one
    };
};
static_assert(net::block_pool::full_bytes < command::large_bytes_min);

}  // namespace ouro::redis

// reader.hpp: buffered reading from a stream: lines, delimited and counted pieces.
#pragma once

#include <ouro/net/bytes/buffer.hpp>
#include <ouro/net/bytes/fill.hpp>
#include <ouro/net/stream.hpp>
#include <ouro/runtime/result.hpp>

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

namespace ouro::net {

struct reader_options {
    std::size_t first_bytes = 1024;     ///< the buffer's first size; it grows under load
    std::size_t bytes_max = 64 * 1024;  ///< what it may grow to: the longest piece plus its end
    bool unended_last_line = false;     ///< the end of the stream ends a line, too, as with files
};

/// Stands for "as long as the buffer may be".
constexpr std::size_t no_limit = static_cast<std::size_t>(-1);

/// Takes a line without its "\n" or "\r\n".
std::string_view without_line_end(std::string_view line) noexcept;

/// Reads a stream through a buffer, which one receive fills as far as it can.
///
/// The views that the reads answer point into the buffer and are valid until the next call that may
/// receive (`read_…`). Reads that find what they want do not touch the kernel; after many in a row
/// the task yields. Each byte is searched once, also when a line arrives in many pieces. When a
/// read fails, what had arrived stays readable with `ready()`: errc::end_of_stream when the stream
/// ended in the middle, errc::limit_exceeded when the piece is longer than its limit or than the
/// buffer, errc::cancelled, std::errc::not_enough_memory, or the socket's error. A buffer that has
/// grown beyond 256 KiB for a large piece is given back when it has run empty.
///
/// One read at a time. The stream must stay where it is while the reader is used.
class reader {
public:
    class some_op;
    class exact_op;
    class until_op;
    class line_op;

    explicit reader(stream& from, const reader_options& options = {}) noexcept
        : reader(from.handle(), options) {}
    explicit reader(descriptor& from, const reader_options& options = {}) noexcept;

    /// What has arrived and was not taken. Valid until the next `read_…`.
    std::span<const std::byte> ready() const noexcept { return buffer_.ready(); }
    std::string_view ready_text() const noexcept { return buffer_.text(); }

    /// Takes `n` of the ready bytes.
    void consume(std::size_t n) noexcept {
        buffer_.consume(n);
        searched_ = searched_ > n ? searched_ - n : 0;
    }

    /// Memory that it holds now.
    std::size_t memory_bytes() const noexcept { return buffer_.capacity(); }

    /// True when the peer has closed its side and nothing more will come behind the ready bytes.
    bool ended() const noexcept { return ended_; }

    /// Receives once, behind the ready bytes; yields how many more there are, 0 at the end of the
    /// stream. errc::limit_exceeded when the buffer is full.
    some_op read_some() noexcept;

    /// Takes exactly `n` bytes.
    exact_op read_exactly(std::size_t n) noexcept;

    /// Takes everything up to and including `delimiter`, which is not empty and must stay until
    /// then. `bytes_max` counts the delimiter, too.
    until_op read_until(std::string_view delimiter, std::size_t bytes_max = no_limit) noexcept;

    /// Takes a line and answers it without its "\n" or "\r\n"; nothing at the end of the stream.
    /// `bytes_max` does not count the end of the line. A last line without "\n" is
    /// errc::end_of_stream, or a line if reader_options::unended_last_line says so.
    ///
    ///     while (auto line = co_await in.read_line(1000)) …
    line_op read_line(std::size_t bytes_max = no_limit) noexcept;

    /// The same from what is there already, without awaiting: takes nothing when no whole line is
    /// there, or when it is too long, which read_line then reports.
    std::optional<std::string_view> try_line(std::size_t bytes_max = no_limit) noexcept;

private:
    class buffered_op;

    std::span<std::byte> space() noexcept;
    std::span<std::byte> prepare(std::size_t n) noexcept;
    void received(std::size_t n) noexcept;
    /// The length of the first line with its "\n"; 0 when there is none.
    std::size_t line_length() noexcept;

    descriptor* from_;
    buffer buffer_;
    std::size_t first_bytes_;
    std::size_t appetite_;      // what the buffer should be able to hold; doubled by full receives
    std::size_t offered_ = 0;   // to the receive in flight
    std::size_t searched_ = 0;  // ready bytes without a "\n"
    bool unended_last_line_;
    bool ended_ = false;
    bool filled_ = false;  // the last receive took all that was offered
};

/// The part that the reads share.
class reader::buffered_op : public fill_await {
protected:
    buffered_op(reader& in, const char* name) noexcept
        : fill_await(*in.from_, name, in.filled_), in_(in) {}
    ~buffered_op() = default;

    reader& in_;

private:
    std::span<std::byte> space() noexcept final { return in_.space(); }
    void received(std::size_t n) noexcept final { in_.received(n); }
    bool ended() const noexcept final { return in_.ended_; }
};

class [[nodiscard, gnu::warn_unused]] reader::some_op final : public buffered_op {
public:
    std::size_t await_resume() const { return await_result().value(); }
    result<std::size_t> await_result() const noexcept;

private:
    friend class reader;
    explicit some_op(reader& in) noexcept : buffered_op(in, "read_some") {}
    progress look() noexcept override;

    std::size_t before_ = no_limit;  // the ready bytes when it began
};

class [[nodiscard, gnu::warn_unused]] reader::exact_op final : public buffered_op {
public:
    std::span<const std::byte> await_resume() const { return await_result().value(); }
    result<std::span<const std::byte>> await_result() const noexcept;

private:
    friend class reader;
    exact_op(reader& in, std::size_t n) noexcept : buffered_op(in, "read_exactly"), size_(n) {}
    progress look() noexcept override;

    std::size_t size_;
    const std::byte* found_ = nullptr;
};

class [[nodiscard, gnu::warn_unused]] reader::until_op final : public buffered_op {
public:
    std::string_view await_resume() const { return await_result().value(); }
    result<std::string_view> await_result() const noexcept;

private:
    friend class reader;
    until_op(reader& in, std::string_view delimiter, std::size_t bytes_max) noexcept
        : buffered_op(in, "read_until"), delimiter_(delimiter), bytes_max_(bytes_max) {
        OURO_ASSERT(!delimiter.empty() && "reader: read_until an empty delimiter: name one");
    }
    progress look() noexcept override;

    std::string_view delimiter_;
    std::size_t bytes_max_;
    std::size_t searched_ = 0;  // the delimiter does not begin before
    std::string_view found_;
};

class [[nodiscard, gnu::warn_unused]] reader::line_op final : public buffered_op {
public:
    std::optional<std::string_view> await_resume() const { return await_result().value(); }
    result<std::optional<std::string_view>> await_result() const noexcept;

private:
    friend class reader;
    line_op(reader& in, std::size_t bytes_max) noexcept
        : buffered_op(in, "read_line"), bytes_max_(bytes_max) {}
    progress look() noexcept override;

    std::size_t bytes_max_;
    std::optional<std::string_view> found_;
};

inline reader::some_op reader::read_some() noexcept { return some_op(*this); }
inline reader::exact_op reader::read_exactly(std::size_t n) noexcept { return {*this, n}; }
inline reader::until_op reader::read_until(std::string_view delimiter,
                                           std::size_t bytes_max) noexcept {
    return {*this, delimiter, bytes_max};
}
inline reader::line_op reader::read_line(std::size_t bytes_max) noexcept {
    return {*this, bytes_max};
}

}  // namespace ouro::net

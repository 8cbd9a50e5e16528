// block_reader.hpp: reading a stream straight into memory that is then shared.
#pragma once

#include <ouro/net/bytes/chunk.hpp>
#include <ouro/net/bytes/fill.hpp>
#include <ouro/net/stream.hpp>
#include <ouro/runtime/result.hpp>

#include <cstddef>
#include <span>
#include <string_view>

namespace ouro::net {

struct block_reader_options {
    std::size_t first_bytes = 1024;     ///< the first block; they grow to full ones under load
    std::size_t bytes_max = 64 * 1024;  ///< the longest piece, the end of a line included
    bool unended_last_line = false;     ///< the end of the stream ends a line, too, as with files
};

/// Receives into blocks and gives out what arrived as chunks, without copying: a line that a
/// hundred others are to be sent exists once. What comes in one after the other lies one after the
/// other, so lines taken in a row become one chunk with chunk::extend.
///
///     while (chunk line = co_await in.read_line()) {
///         chunk batch = line;
///         while (chunk next = in.try_line()) …batch.extend(next)…
///
/// When little of a block is left, a new one is taken and the unfinished piece is copied there. A
/// block that nobody shares any more is used again from its start. Errors are those of reader.
///
/// One read at a time. The stream must stay where it is while it is used.
class block_reader {
public:
    class fill_op;
    class line_op;

    explicit block_reader(stream& from, const block_reader_options& options = {}) noexcept
        : block_reader(from.handle(), options) {}
    explicit block_reader(descriptor& from, const block_reader_options& options = {}) noexcept;

    /// What has arrived and was not taken. Valid until the next `fill` or `read_line`.
    std::span<const std::byte> ready() const noexcept { return block_.appended(begin_); }
    std::string_view ready_text() const noexcept {
        return {reinterpret_cast<const char*>(ready().data()), ready().size()};
    }

    /// Takes the first `n` ready bytes and shares them.
    chunk take(std::size_t n) noexcept {
        chunk taken = block_.share(begin_, n);
        consume(n);
        return taken;
    }
    /// Takes them without looking back.
    void consume(std::size_t n) noexcept {
        OURO_ASSERT(n <= block_.used() - begin_);
        begin_ += n;
        if (searched_ < begin_) searched_ = begin_;
    }

    /// True when the peer has closed its side and nothing more will come behind the ready bytes.
    bool ended() const noexcept { return ended_; }

    /// Receives once, behind the ready bytes; yields how many more there are, 0 at the end of the
    /// stream. errc::limit_exceeded when `bytes_max` bytes are ready.
    fill_op fill() noexcept;

    /// Takes the next line, its "\n" included; `without_line_end(line.text())` is the line. Empty
    /// at the end of the stream. A last line without "\n" is errc::end_of_stream, or a line if
    /// block_reader_options::unended_last_line says so.
    line_op read_line() noexcept;

    /// The same from what is there already, without awaiting: empty when no whole line is there.
    chunk try_line() noexcept;

private:
    class block_op;

    std::span<std::byte> space() noexcept;
    void received(std::size_t n) noexcept;
    void change_block(std::size_t bytes);

    descriptor* from_;
    open_block block_;
    std::size_t begin_ = 0;     // of what was not taken, in the block
    std::size_t searched_ = 0;  // no "\n" from begin_ to here
    std::size_t bytes_max_;
    std::size_t block_bytes_;  // the size of the next block
    std::size_t offered_ = 0;  // to the receive in flight
    bool unended_last_line_;
    bool ended_ = false;
    bool filled_ = false;  // the last receive took all that was offered
};

/// The part that the reads share.
class block_reader::block_op : public fill_await {
protected:
    block_op(block_reader& in, const char* name) noexcept
        : fill_await(*in.from_, name, in.filled_), in_(in) {}
    ~block_op() = default;

    block_reader& in_;

private:
    std::span<std::byte> space() noexcept final { return in_.space(); }
    void received(std::size_t n) noexcept final {
        in_.received(n);
        received_ += n;
    }
    bool ended() const noexcept final { return in_.ended_; }

protected:
    std::size_t received_ = 0;
};

class [[nodiscard, gnu::warn_unused]] block_reader::fill_op final : public block_op {
public:
    std::size_t await_resume() const { return await_result().value(); }
    result<std::size_t> await_result() const noexcept;

private:
    friend class block_reader;
    explicit fill_op(block_reader& in) noexcept : block_op(in, "fill") {}
    progress look() noexcept override;
};

class [[nodiscard, gnu::warn_unused]] block_reader::line_op final : public block_op {
public:
    chunk await_resume() { return await_result().value(); }
    result<chunk> await_result() noexcept;

private:
    friend class block_reader;
    explicit line_op(block_reader& in) noexcept : block_op(in, "read_line") {}
    progress look() noexcept override;

    chunk found_;
};

inline block_reader::fill_op block_reader::fill() noexcept { return fill_op(*this); }
inline block_reader::line_op block_reader::read_line() noexcept { return line_op(*this); }

}  // namespace ouro::net

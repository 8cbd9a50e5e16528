#include <ouro/net/bytes/reader.hpp>

#include <algorithm>
#include <cstring>
#include <new>

namespace ouro::net {
namespace {

constexpr std::size_t receive_bytes_min = 512;  // a smaller rest of the buffer is not worth a call

// What a buffer that has run empty keeps: one unusually large piece does not hold its memory.
constexpr std::size_t kept_bytes_max = 256 * 1024;

/// A line of `length` bytes, its "\n" included, without its end.
std::string_view line_text(const char* begin, std::size_t length) noexcept {
    --length;
    if (length > 0 && begin[length - 1] == '\r') --length;
    return {begin, length};
}

}  // namespace

std::string_view without_line_end(std::string_view line) noexcept {
    if (line.empty() || line.back() != '\n') return line;
    return line_text(line.data(), line.size());
}

reader::reader(descriptor& from, const reader_options& options) noexcept
    : from_(&from),
      buffer_(options.bytes_max),
      first_bytes_(std::min(options.first_bytes, options.bytes_max)),
      appetite_(first_bytes_),
      unended_last_line_(options.unended_last_line) {
    OURO_ASSERT(options.bytes_max > 0 && "reader_options: bytes_max is at least 1");
}

// Asked for only after look() found that the buffer is not full.
std::span<std::byte> reader::space() noexcept {
    const std::size_t kept = buffer_.size();
    if (kept == 0 && buffer_.capacity() > std::max(kept_bytes_max, first_bytes_)) {
        buffer_.release();
        appetite_ = std::max(kept_bytes_max, first_bytes_);
    }
    OURO_ASSERT(kept < buffer_.bytes_max());
    const std::size_t left = buffer_.bytes_max() - kept;
    const std::size_t wanted = appetite_ > kept ? appetite_ - kept : 0;
    std::span<std::byte> offered = prepare(std::min(std::max(wanted, receive_bytes_min), left));
    if (offered.empty()) offered = prepare(1);  // what room there is
    offered_ = offered.size();
    return offered;
}

std::span<std::byte> reader::prepare(std::size_t n) noexcept {
    try {
        return buffer_.prepare(n);
    } catch (const std::bad_alloc&) {
        return {};
    }
}

void reader::received(std::size_t n) noexcept {
    if (n == 0) ended_ = true;
    buffer_.commit(n);
    // More was waiting than fitted: the next receive may be larger.
    filled_ = n == offered_;
    if (filled_) appetite_ = std::min(buffer_.bytes_max(), 2 * buffer_.capacity());
}

std::size_t reader::line_length() noexcept {
    const std::string_view text = buffer_.text();
    const char* const from = text.data() + searched_;
    const void* const end = std::memchr(from, '\n', text.size() - searched_);
    if (!end) {
        searched_ = text.size();
        return 0;
    }
    return static_cast<std::size_t>(static_cast<const char*>(end) - text.data()) + 1;
}

std::optional<std::string_view> reader::try_line(std::size_t bytes_max) noexcept {
    if (buffer_.size() == searched_) return std::nullopt;
    const std::size_t length = line_length();
    if (length == 0) return std::nullopt;
    const std::string_view line = line_text(buffer_.text().data(), length);
    if (line.size() > bytes_max) {
        searched_ = length - 1;  // so that read_line finds it again
        return std::nullopt;
    }
    buffer_.consume(length);
    searched_ = 0;
    return line;
}

fill_await::progress reader::some_op::look() noexcept {
    const std::size_t there = in_.buffer_.size();
    if (before_ == no_limit) before_ = there;
    if (there > before_ || in_.ended_) return progress::done;
    return there < in_.buffer_.bytes_max() ? progress::need_more : progress::too_long;
}

result<std::size_t> reader::some_op::await_result() const noexcept {
    if (error()) return error();
    return in_.buffer_.size() - before_;
}

fill_await::progress reader::exact_op::look() noexcept {
    const auto there = in_.buffer_.ready();
    if (there.size() < size_)
        return size_ <= in_.buffer_.bytes_max() ? progress::need_more : progress::too_long;
    found_ = there.data();
    in_.consume(size_);
    return progress::done;
}

result<std::span<const std::byte>> reader::exact_op::await_result() const noexcept {
    if (error()) return error();
    return std::span(found_, size_);
}

fill_await::progress reader::until_op::look() noexcept {
    const std::string_view there = in_.buffer_.text();
    const std::size_t limit = std::min(bytes_max_, in_.buffer_.bytes_max());
    const std::string_view allowed = there.substr(0, limit);
    OURO_ASSERT(searched_ <= allowed.size());
    const void* const at = allowed.empty()
                               ? nullptr
                               : ::memmem(allowed.data() + searched_, allowed.size() - searched_,
                                          delimiter_.data(), delimiter_.size());
    if (at) {
        const auto begin = static_cast<std::size_t>(static_cast<const char*>(at) - there.data());
        found_ = there.substr(0, begin + delimiter_.size());
        in_.consume(found_.size());
        return progress::done;
    }
    if (there.size() >= limit) return progress::too_long;
    if (there.size() >= delimiter_.size()) searched_ = there.size() - delimiter_.size() + 1;
    return progress::need_more;
}

result<std::string_view> reader::until_op::await_result() const noexcept {
    if (error()) return error();
    return found_;
}

fill_await::progress reader::line_op::look() noexcept {
    found_ = in_.try_line(bytes_max_);
    if (found_) return progress::done;
    const std::size_t there = in_.buffer_.size();
    if (in_.searched_ < there) return progress::too_long;  // it is there, but was not given
    if (there == 0 && in_.ended_) return progress::done;
    if (in_.ended_ && in_.unended_last_line_) {
        if (there > bytes_max_) return progress::too_long;
        found_ = in_.buffer_.text();
        in_.consume(there);
        return progress::done;
    }
    const bool full = there == in_.buffer_.bytes_max();
    const bool long_without_end =
        there > bytes_max_ && (there - bytes_max_ > 1 || in_.buffer_.text().back() != '\r');
    return full || long_without_end ? progress::too_long : progress::need_more;
}

result<std::optional<std::string_view>> reader::line_op::await_result() const noexcept {
    if (error()) return error();
    return found_;
}

}  // namespace ouro::net

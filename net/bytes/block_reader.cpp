#include <ouro/net/bytes/block_reader.hpp>

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace ouro::net {
namespace {

constexpr std::size_t rest_min = 8;  // a rest of less than an eighth of a block is left unused

}  // namespace

block_reader::block_reader(descriptor& from, const block_reader_options& options) noexcept
    : from_(&from),
      bytes_max_(options.bytes_max),
      block_bytes_(options.first_bytes),
      unended_last_line_(options.unended_last_line) {
    OURO_ASSERT(options.bytes_max > 0 && options.first_bytes > 0 &&
                "block_reader_options: bytes_max and first_bytes are at least 1");
    OURO_ASSERT(options.bytes_max <= block_pool::bytes_max / 2 &&
                "block_reader_options: bytes_max is at most half of what a block can be");
}

// Asked for only after look() found less than bytes_max_ ready bytes.
std::span<std::byte> block_reader::space() noexcept {
    OURO_ASSERT(begin_ <= searched_ && searched_ <= block_.used());
    const std::size_t kept = block_.used() - begin_;
    OURO_ASSERT(kept < bytes_max_);
    if (kept == 0 && block_.unshared() && block_.capacity() >= block_bytes_) {
        block_.restart();
        begin_ = searched_ = 0;
    }
    const std::size_t rest = block_.capacity() - block_.used();
    const bool may_grow = block_.capacity() < block_bytes_;
    if (rest == 0 || rest < block_.capacity() / rest_min || (may_grow && kept == 0)) {
        try {
            change_block(std::max(block_bytes_, 2 * kept));
        } catch (const std::bad_alloc&) {  // then there is the rest, or nothing
        }
    }
    const auto offered = block_.free();
    offered_ = offered.size();
    return offered.first(std::min(offered.size(), bytes_max_ - (block_.used() - begin_)));
}

void block_reader::change_block(std::size_t bytes) {
    open_block fresh(bytes);
    fresh.append(ready());
    searched_ -= begin_;
    begin_ = 0;
    block_ = std::move(fresh);
}

void block_reader::received(std::size_t n) noexcept {
    if (n == 0) ended_ = true;
    block_.append(n);
    // More was waiting than fitted: the next block may be larger.
    filled_ = n == offered_;
    if (filled_) block_bytes_ = std::min(4 * block_bytes_, block_pool::full_bytes);
}

chunk block_reader::try_line() noexcept {
    const auto left = block_.appended(searched_);
    if (left.empty()) return {};
    const void* const end = std::memchr(left.data(), '\n', left.size());
    if (!end) {
        searched_ = block_.used();
        return {};
    }
    const auto length = static_cast<const std::byte*>(end) - ready().data() + 1;
    return take(static_cast<std::size_t>(length));
}

fill_await::progress block_reader::fill_op::look() noexcept {
    if (received_ > 0 || in_.ended_) return progress::done;
    return in_.ready().size() < in_.bytes_max_ ? progress::need_more : progress::too_long;
}

result<std::size_t> block_reader::fill_op::await_result() const noexcept {
    if (error()) return error();
    return received_;
}

fill_await::progress block_reader::line_op::look() noexcept {
    found_ = in_.try_line();
    if (found_) return progress::done;
    const std::size_t there = in_.ready().size();
    if (there == 0 && in_.ended_) return progress::done;
    if (in_.ended_ && in_.unended_last_line_) {
        found_ = in_.take(there);
        return progress::done;
    }
    return there < in_.bytes_max_ ? progress::need_more : progress::too_long;
}

result<chunk> block_reader::line_op::await_result() noexcept {
    if (error()) return error();
    return std::move(found_);
}

}  // namespace ouro::net

#include <ouro/kv/redis/connection/multi_exec.hpp>

#include <ouro/kv/redis/error.hpp>
#include <ouro/runtime/check.hpp>

#include <new>

namespace ouro::redis {
namespace {

constexpr std::string_view multi = "*1\r\n$5\r\nMULTI\r\n";
constexpr std::string_view exec_ = "*1\r\n$4\r\nEXEC\r\n";

}  // namespace

bool multi_exec::prepare() {
    OURO_ASSERT(!batch_.empty());
    restart();
    for (std::size_t index = 0; index < batch_.size(); ++index) {
        if (!batch_.has_outcome(index)) continue;
        error_ = batch_.error_of(index);
        how_far_ = net::fate::unsent;
    }
    if (error_) {
        batch_.fail_rest(error_, how_far_);
        return false;
    }
    const std::span<const std::byte> inside = batch_.bytes();
    bytes_.clear();
    bytes_.reserve(multi.size() + inside.size() + exec_.size());
    bytes_.append(multi);
    bytes_.append(reinterpret_cast<const char*>(inside.data()), inside.size());
    bytes_.append(exec_);
    return true;
}

void multi_exec::restart() noexcept {
    batch_.forget_replies();
    next_ = 0;
    error_ = {};
    words_.clear();
    how_far_ = net::fate::answered;
    ended_watch_ = false;
}

void multi_exec::take(const value& from) noexcept {
    const std::size_t index = next_++;
    OURO_ASSERT(index < replies() && "a transaction has a reply for each command, and two more");
    const bool is_last = index > batch_.size();
    try {
        if (is_last)
            take_exec(from);
        else
            take_queued(from);
    } catch (const std::bad_alloc&) {
        if (!error_) error_ = make_error_code(std::errc::not_enough_memory);
    }
    if (is_last && error_) batch_.fail_rest(error_, net::fate::answered);
}

// "OK" and "QUEUED", or why not: then EXEC will refuse, and say less.
void multi_exec::take_queued(const value& from) {
    if (!from.is_error()) return;
    if (next_ > 1) batch_.set_reply(next_ - 2, from);
    if (words_.empty()) words_ = from.text();
}

void multi_exec::take_exec(const value& from) {
    ended_watch_ = true;
    if (from.is_error()) {
        error_ = code_of(from.text());
        ended_watch_ = error_ == errc::exec_aborted;
        if (!ended_watch_ && !words_.empty()) error_ = code_of(words_);  // MULTI itself was refused
        if (words_.empty()) words_ = from.text();
    } else if (from.is_null()) {
        error_ = errc::conflict;
    } else if (!from.is_aggregate() || from.size() != batch_.size()) {
        error_ = errc::unexpected_reply;
    } else {
        std::size_t index = 0;
        for (const value& each : from) batch_.set_reply(index++, each);
    }
}

void multi_exec::fail(std::error_code why, net::fate how_far) noexcept {
    error_ = why;
    how_far_ = how_far;
    batch_.fail_rest(why, how_far);
}

void multi_exec::fail(std::error_code why, std::string_view words, net::fate how_far) noexcept {
    fail(why, how_far);
    try {
        words_ = words;
    } catch (const std::bad_alloc&) {  // the code says enough
    }
}

void multi_exec::throw_if_failed() const {
    if (error_) throw redis::error(error_, how_far_, "EXEC", words_);
}

}  // namespace ouro::redis

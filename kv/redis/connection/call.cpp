#include <ouro/kv/redis/connection/call.hpp>

#include <ouro/kv/redis/error.hpp>

#include <new>

namespace ouro::redis {

bool call_base::begin() noexcept {
    if (error_) error_ = {};
    if (thrown_) thrown_ = nullptr;
    if (command_.too_large())
        error_ = errc::too_large;
    else if (obstacle_ != obstacle::none)
        error_ = errc::not_shareable;
    return !error_;
}

bool call_base::take(const value& from) noexcept {
    how_far_ = net::fate::answered;
    try {
        if (from.is_error()) {
            error_ = code_of(from.text());
            words_ = from.text();
        } else {
            error_ = read(from);
        }
    } catch (const std::bad_alloc&) {
        error_ = make_error_code(std::errc::not_enough_memory);
    } catch (...) {  // a decoder of the caller's: the caller gets it
        thrown_ = std::current_exception();
    }
    return true;
}

void call_base::failed(std::error_code why, net::fate how_far) noexcept {
    error_ = why;
    how_far_ = how_far;
}

void call_base::throw_failure() const {
    if (error_ == errc::not_shareable) throw refusal_of(command_.name(), obstacle_);
    throw redis::error(error_, how_far_, command_.name(), words_);
}

void call_base::describe(leaf_description& into) const {
    into.text("redis " + std::string(command_.name()) + " at " +
              to_string(static_cast<const session&>(on()).where()));
}

}  // namespace ouro::redis

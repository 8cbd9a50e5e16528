#include <ouro/kv/memcached/connection/call.hpp>

#include <ouro/kv/memcached/error.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace ouro::memcached {

bool encode_request(const grammar& language, const request& what, net::writer& out) {
    std::array<char, head_bytes_max> head;
    const std::string_view first(head.data(), language.encode_head(what, head));
    if (!stores(what.what)) return out.write(first);
    return out.write(first) && out.write(what.value) && out.write(language.behind_value);
}

namespace {

bool has_key(verb what) noexcept { return what <= verb::remove; }

bool is_one_word(std::string_view text) noexcept { return text.empty() || is_valid_key(text); }

}  // namespace

std::error_code find_fault(const request& what, const session_options& with) noexcept {
    if (has_key(what.what)) {
        const bool good = what.base64 ? is_valid_base64_key(what.key) : is_valid_key(what.key);
        if (!good) return errc::bad_key;
    } else if (!is_one_word(what.key)) {
        return errc::bad_argument;
    }
    if (stores(what.what) && what.value.size() > with.limits.value_bytes_max)
        return errc::value_too_large;
    if (!grammar_of(with.dialect).can_say(what)) return errc::unsupported;
    return {};
}

// The part that calls share.

void call_base::begin_anew() noexcept {
    error_ = {};
    words_.clear();
    how_far_ = net::fate::unsent;
}

bool call_base::refuse(std::error_code why) noexcept {
    failed(why, net::fate::unsent);
    return false;
}

void call_base::failed(std::error_code why, net::fate how_far) noexcept {
    error_ = why;
    how_far_ = how_far;
}

void call_base::keep_error(const reply& from) noexcept {
    error_ = from.code;
    how_far_ = net::fate::answered;
    guarded([&] { words_ = from.words; });
}

bool call_base::is_mine(const reply& from, std::uint32_t mine, verb what) const noexcept {
    if (from.has_opaque) return from.opaque == mine;
    if (from.is_error()) return true;  // error lines have none
    return !asked().spoken().has_opaque || !has_key(what);
}

void call_base::throw_failure() const { throw error(error_, how_far_, asked().name(), words_); }

// A call.

call::call(router& by, const request& what) noexcept
    : call_base(by.route(what.key)), by_(&by), what_(what) {}

call::call(session& to, const request& what) noexcept : call_base(to), what_(what) {}

namespace {

/// Asking twice does no harm. A vivifying get is no mere read: who asks first wins.
bool is_read(const request& what) noexcept {
    switch (what.what) {
        case verb::get: return !what.vivify && !what.recache;
        case verb::touch:
        case verb::stats:
        case verb::version:
        case verb::noop: return true;
        default: return false;
    }
}

}  // namespace

bool call::begin() noexcept {
    forget_answer();
    session& to = by_ ? by_->route(what_.key) : static_cast<session&>(on());
    set_session(to);
    what_.base64 = to.options().base64_keys && has_key(what_.what);
    if (const std::error_code fault = find_fault(what_, to.options())) return refuse(fault);
    if (to.is_down()) return refuse(errc::server_down);
    repeat(is_read(what_) ? to.options().repeats : 0);
    what_.opaque = to.next_opaques(1);
    return true;
}

// What came of an answer on a connection that was lost comes again.
bool call::encode(net::writer& out) {
    forget_answer();
    return encode_request(asked().spoken(), what_, out);
}

void call::forget_answer() noexcept {
    begin_anew();
    outcome_ = outcome::none;
    value_bytes_ = 0;
}

bool call::moves_on() noexcept {
    if (!error_code() || error_code() == ouro::errc::cancelled || !by_ || moves_left_ == 0)
        return false;
    const bool may_repeat = is_read(what_) && asked().options().repeats > 0;
    if (how_far() == net::fate::answered) return false;
    if (how_far() == net::fate::unanswered && !may_repeat) return false;
    if (!asked().is_down()) return false;  // refused before, cancelled, or waited too long
    if (&by_->route(what_.key) == &on()) return false;
    --moves_left_;
    return true;
}

std::error_code call::take(const reply& from, bool) noexcept {
    if (!is_mine(from, what_.opaque, what_.what)) return errc::wrong_opaque;
    if (from.is_error()) {
        keep_error(from);
        return {};
    }
    if (error_code()) return {};  // the END behind a value that could not be taken
    if (!understand(from)) return errc::bad_reply;
    return {};
}

bool call::understand(const reply& from) noexcept {
    switch (what_.what) {
        case verb::get: return understand_get(from);
        case verb::set:
        case verb::add:
        case verb::replace:
        case verb::append:
        case verb::prepend: said_.cas = from.cas; return understand_store(from.what);
        case verb::increment:
        case verb::decrement: return understand_number(from);
        case verb::version: guarded([&] { keep_value(from.value); }); [[fallthrough]];
        default: return understand_rest(from.what);
    }
}

bool call::understand_get(const reply& from) noexcept {
    switch (from.what) {
        case status::value:
        case status::ok:
            if (outcome_ == outcome::done || (from.what == status::ok && what_.wants_value))
                return false;
            if (from.has_key && from.key != what_.key) return false;
            said_ = from;
            guarded([&] { keep_value(from.value); });
            said_.key = said_.value = said_.words = {};
            outcome_ = outcome::done;
            return true;
        case status::end:
            if (!asked().spoken().values_have_an_end) return false;
            if (outcome_ == outcome::none) outcome_ = outcome::miss;
            return true;
        case status::miss:
        case status::not_found:
            if (asked().spoken().values_have_an_end) return false;
            outcome_ = outcome::miss;
            return true;
        default: return false;
    }
}

// The dialects differ in what they call an `add` that found something, or a `replace` that did not.
bool call::understand_store(status said) noexcept {
    const bool conditional = what_.what != verb::set && what_.cas == 0;
    switch (said) {
        case status::ok: outcome_ = outcome::done; return true;
        case status::not_stored: outcome_ = outcome::not_stored; return true;
        case status::exists:
            outcome_ = conditional ? outcome::not_stored : outcome::exists;
            return true;
        case status::not_found:
            outcome_ = conditional ? outcome::not_stored : outcome::not_found;
            return true;
        default: return false;
    }
}

bool call::understand_number(const reply& from) noexcept {
    if (from.what == status::value) {
        const char* const end = from.value.data() + from.value.size();
        const auto [to, failed] = std::from_chars(from.value.data(), end, said_.number);
        outcome_ = outcome::done;
        return failed == std::errc{} && std::all_of(to, end, [](char c) { return c == ' '; });
    }
    if (from.what == status::number) {
        said_.number = from.number;
        outcome_ = outcome::done;
        return true;
    }
    return from.what != status::ok && understand_rest(from.what);
}

bool call::understand_rest(status said) noexcept {
    switch (said) {
        case status::ok: outcome_ = outcome::done; return what_.what != verb::version;
        case status::version:
            outcome_ = outcome::done;
            return what_.what == verb::version || what_.what == verb::noop;
        case status::noop: outcome_ = outcome::done; return what_.what == verb::noop;
        case status::miss:
        case status::not_found: outcome_ = outcome::not_found; return has_key(what_.what);
        case status::not_stored: outcome_ = outcome::not_stored; return has_key(what_.what);
        case status::exists: outcome_ = outcome::exists; return has_key(what_.what);
        default: return false;
    }
}

void call::keep_value(std::string_view value) {
    value_bytes_ = value.size();
    if (text_) {
        *text_ = value;
    } else if (!room_.empty() && value.size() <= room_.size()) {
        std::memcpy(room_.data(), value.data(), value.size());
    }
}

void call::describe(leaf_description& into) const { into.text("memcached at " + asked().name()); }

}  // namespace ouro::memcached

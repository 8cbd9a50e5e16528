#include <ouro/kv/memcached/connection/batch.hpp>

#include <ouro/kv/memcached/error.hpp>
#include <ouro/kv/memcached/wire/text.hpp>
#include <ouro/runtime/check.hpp>

namespace ouro::memcached {

batch_get::batch_get(session& to, std::span<const std::string_view> keys,
                     std::span<const std::uint32_t> which, std::span<std::optional<item>> found,
                     const request& wishes)
    : call_base(to), keys_(keys), which_(which), found_(found), wishes_(wishes) {
    OURO_ASSERT(!which.empty() && keys.size() == found.size());
}

bool batch_get::begin() noexcept {
    begin_anew();
    auto& to = static_cast<session&>(on());
    if (to.is_down()) return refuse(errc::server_down);
    repeat(to.options().repeats);
    wishes_.base64 = to.options().base64_keys;
    if (!to.spoken().values_have_an_end)
        first_opaque_ = to.next_opaques(static_cast<std::uint32_t>(which_.size()));
    return true;
}

bool batch_get::encode(net::writer& out) {
    begin_anew();
    at_ = line_ = 0;
    return asked().spoken().values_have_an_end ? encode_lines(out) : encode_requests(out);
}

bool batch_get::encode_requests(net::writer& out) {
    request one = wishes_;
    one.opaque = first_opaque_;
    for (const std::uint32_t i : which_) {
        one.key = keys_[i];
        if (!encode_request(asked().spoken(), one, out)) return false;
        ++one.opaque;
    }
    set_replies(static_cast<std::uint32_t>(which_.size()));
    return true;
}

bool batch_get::encode_lines(net::writer& out) {
    line_ends_.clear();
    std::string line;
    for (std::uint32_t n = 0; n < which_.size();) {
        text::begin_get(line, wishes_.wants_cas, wishes_.exptime);
        while (n < which_.size() && text::add_key(line, keys_[which_[n]])) ++n;
        text::end_get(line);
        if (!out.write(line)) return false;
        line_ends_.push_back(n);
    }
    set_replies(static_cast<std::uint32_t>(line_ends_.size()));
    return true;
}

std::error_code batch_get::take(const reply& from, bool is_last) noexcept {
    if (!line_ends_.empty()) return take_line(from, is_last);
    const auto mine = static_cast<std::uint32_t>(first_opaque_ + at_);
    if (!is_mine(from, mine, verb::get)) return errc::wrong_opaque;
    OURO_ASSERT(at_ < which_.size());
    const std::size_t at = which_[at_++];
    if (from.is_error())
        keep_error(from);
    else if (from.what == status::value)
        keep(at, from);
    else if (from.what != status::miss && from.what != status::not_found)
        return errc::bad_reply;
    return {};
}

// Only hits come back, in the order of the keys, and one key may stand there twice.
std::error_code batch_get::take_line(const reply& from, bool is_last) noexcept {
    OURO_ASSERT(line_ < line_ends_.size() && at_ <= line_ends_[line_]);
    if (from.is_error()) keep_error(from);
    if (is_last) {
        at_ = line_ends_[line_++];
        if (!from.is_error() && from.what != status::end) return errc::bad_reply;
        return {};
    }
    if (from.is_error()) return {};  // a value that was too large
    for (; at_ < line_ends_[line_]; ++at_)
        if (keys_[which_[at_]] == from.key) {
            keep(which_[at_++], from);
            return {};
        }
    return errc::bad_reply;
}

void batch_get::keep(std::size_t at, const reply& from) noexcept {
    guarded([&] { found_[at] = item{std::string(from.value), from.flags, from.cas}; });
}

void batch_get::describe(leaf_description& into) const {
    into.text("memcached get of " + std::to_string(which_.size()) + " keys at " + asked().name());
}

// Statistics.

bool stats_call::begin() noexcept {
    begin_anew();
    auto& to = static_cast<session&>(on());
    if (const std::error_code fault = find_fault(what_, to.options())) return refuse(fault);
    if (to.is_down()) return refuse(errc::server_down);
    what_.opaque = to.next_opaques(1);
    return true;
}

bool stats_call::encode(net::writer& out) {
    begin_anew();
    into_.clear();
    return encode_request(asked().spoken(), what_, out);
}

std::error_code stats_call::take(const reply& from, bool) noexcept {
    if (!is_mine(from, what_.opaque, verb::stats)) return errc::wrong_opaque;
    if (from.what == status::stat) {
        if (into_.size() == entries_max) return errc::stats_too_large;
        guarded([&] { into_.emplace_back(from.key, from.value); });
        return {};
    }
    if (from.is_error())
        keep_error(from);
    else if (from.what != status::end && from.what != status::ok)  // "RESET"
        return errc::bad_reply;
    return {};
}

void stats_call::describe(leaf_description& into) const {
    into.text("memcached stats at " + asked().name());
}

}  // namespace ouro::memcached

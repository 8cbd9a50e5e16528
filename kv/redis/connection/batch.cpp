#include <ouro/kv/redis/connection/batch.hpp>

#include <ouro/kv/redis/error.hpp>

#include <algorithm>
#include <limits>
#include <new>

namespace ouro::redis {
namespace {

// One huge batch shall not keep its memory for ever.
constexpr std::size_t kept_bytes_max = 4 * 1024 * 1024;

template <class Container>
void drop(Container& memory) noexcept {
    if (memory.capacity() * sizeof(typename Container::value_type) > kept_bytes_max)
        memory = Container();
    else
        memory.clear();
}

}  // namespace

std::size_t batch::add(const command_info& what, std::span<const arg> arguments) {
    const encoded_size size = size_of(what, arguments);
    const std::size_t begin = bytes_.size();
    entries_.push_back({&what, begin, {}});
    if (size.bytes == 0) {
        entries_.back().error = errc::too_large;
        return entries_.size() - 1;
    }
    read_only_ = read_only_ && what.is(command_flag::read_only);
    // resize alone would grow by just as much as is needed, each time.
    if (begin + size.bytes > bytes_.capacity())
        bytes_.reserve(std::max(begin + size.bytes, 2 * bytes_.capacity()));
    bytes_.resize(begin + size.bytes);
    encode(what, arguments, size, bytes_.data() + begin);
    return entries_.size() - 1;
}

std::size_t batch::add(const command& what) {
    entries_.push_back({&what.info(), bytes_.size(), {}});
    entries_.back().said_slot = what.said_slot();
    if (what.too_large()) entries_.back().error = errc::too_large;
    read_only_ = read_only_ && what.info().is(command_flag::read_only);
    const auto* const text = reinterpret_cast<const char*>(what.bytes().data());
    bytes_.insert(bytes_.end(), text, text + what.bytes().size());
    return entries_.size() - 1;
}

std::span<const std::byte> batch::bytes(std::size_t index) const noexcept {
    const std::size_t begin = entries_[index].begin;
    const std::size_t end = index + 1 < size() ? entries_[index + 1].begin : bytes_.size();
    OURO_ASSERT(begin <= end && end <= bytes_.size());
    return bytes().subspan(begin, end - begin);
}

void batch::set_reply(std::size_t index, const value& from) {
    OURO_ASSERT(index < entries_.size());
    entry& of = entries_[index];
    of.how_far = net::fate::answered;
    const std::size_t at = nodes_.size();
    from.append_to(nodes_, texts_);
    if (nodes_.size() >= no_node || texts_.size() > std::numeric_limits<std::uint32_t>::max()) {
        of.error = make_error_code(ouro::errc::limit_exceeded);
        return;
    }
    of.node = static_cast<std::uint32_t>(at);
    of.error = {};
}

void batch::set_error(std::size_t index, std::error_code why, net::fate how_far) noexcept {
    entries_[index].error = why;
    entries_[index].how_far = how_far;
}

void batch::fail_rest(std::error_code why, net::fate how_far) noexcept {
    for (std::size_t index = 0; index < size(); ++index)
        if (!has_outcome(index)) set_error(index, why, how_far);
}

std::error_code batch::error_of(std::size_t index) const noexcept {
    if (!has_reply(index)) return entries_[index].error;
    const value said = reply_of(index);
    return said.is_error() ? make_error_code(code_of(said.text())) : std::error_code();
}

void batch::throw_error_of(std::size_t index, std::error_code why) const {
    const bool said = has_reply(index) && reply_of(index).is_error();
    throw error(why, fate_of(index), info(index).name,
                said ? reply_of(index).text() : std::string_view());
}

void batch::throw_first_error() const {
    for (std::size_t index = 0; index < size(); ++index)
        if (const std::error_code why = error_of(index)) throw_error_of(index, why);
}

void batch::forget_replies() noexcept {
    for (entry& each : entries_) {
        if (each.error != errc::too_large) each.error = {};
        each.node = no_node;
        each.how_far = net::fate::unsent;
    }
    drop(nodes_);
    drop(texts_);
}

void batch::clear() noexcept {
    ++generation_;
    read_only_ = true;
    drop(entries_);
    drop(bytes_);
    drop(nodes_);
    drop(texts_);
}

// Sending it.

batch_call::batch_call(session& on, batch& from) noexcept
    : request(on, static_cast<std::uint32_t>(from.size())), batch_(from) {
    OURO_ASSERT(!from.empty());
    if (from.read_only() || on.options().repeat_writes) repeat(on.options().repeats);
    std::uint32_t sent = 0;
    for (std::size_t index = 0; index < from.size(); ++index) sent += !from.has_outcome(index);
    set_replies(sent);
}

bool batch_call::take(const value& from) noexcept {
    OURO_ASSERT(next_ < batch_.size() && "a pipeline has a reply for each command");
    while (batch_.has_outcome(next_)) ++next_;  // what was not sent has no reply
    try {
        batch_.set_reply(next_, from);
    } catch (const std::bad_alloc&) {
        batch_.set_error(next_, make_error_code(std::errc::not_enough_memory), net::fate::answered);
    }
    ++next_;
    return true;
}

void batch_call::failed(std::error_code why, net::fate how_far) noexcept {
    error_ = why;
    how_far_ = how_far;
    batch_.fail_rest(why, how_far);
}

void batch_call::await_resume() const {
    if (error_) throw error(error_, how_far_, "pipeline", {});
}

void batch_call::describe(leaf_description& into) const {
    into.text("redis pipeline of " + std::to_string(batch_.size()) + " at " +
              to_string(static_cast<const session&>(on()).where()));
}

}  // namespace ouro::redis

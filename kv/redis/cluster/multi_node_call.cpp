#include <ouro/kv/redis/cluster/multi_node_call.hpp>

#include <algorithm>
#include <new>
#include <utility>

namespace ouro::redis {

request_part::request_part(const command_info& what, std::span<const std::byte> encoded,
                           bool repeatable)
    : encoded_(encoded) {
    set_repeatable(repeatable || what.is(command_flag::read_only));
}

void request_part::go_to(std::uint16_t slot, bool reads) noexcept {
    set_slot(slot);
    set_reads(reads);
}

void request_part::fail(std::error_code why, std::string_view said, net::fate fate) noexcept {
    error = why;
    how_far = fate;
    try {
        words = said;
    } catch (const std::bad_alloc&) {  // the code says enough
    }
}

std::unique_ptr<multi_node_call> multi_node_call::plan(cluster_core& by, const command_info& what,
                                                       std::span<const std::byte> encoded) {
    std::vector<command_part> parts;
    std::vector<cluster_core::node_ptr> nodes;
    if (may_be_split(what))
        parts = split_by_slot(what, encoded);
    else if (what.response == response_policy::special)
        return nullptr;  // whoever answers speaks for itself
    else if (what.request == request_policy::all_shards)
        nodes = by.map().masters();
    else if (what.request == request_policy::all_nodes)
        nodes = by.map().nodes();
    if (parts.empty() && nodes.empty()) return nullptr;

    const bool repeatable = by.options().repeat_writes;
    std::unique_ptr<multi_node_call> made(new multi_node_call(what, std::move(parts)));
    for (const command_part& each : made->parts_) {
        made->requests_.push_back(
            std::make_unique<request_part>(what, each.what.bytes(), repeatable));
        made->requests_.back()->go_to(each.slot, what.is(command_flag::read_only));
    }
    for (cluster_core::node_ptr& each : nodes) {
        made->requests_.push_back(std::make_unique<request_part>(what, encoded, repeatable));
        made->requests_.back()->go_to(std::move(each));
    }
    return made;
}

const request_part* multi_node_call::failure() const noexcept {
    // Where one success is enough, one failure is not.
    const auto failed = [](const auto& each) { return static_cast<bool>(each->error); };
    if (what_.response == response_policy::one_succeeded &&
        !std::all_of(requests_.begin(), requests_.end(), failed))
        return nullptr;
    const auto found = std::find_if(requests_.begin(), requests_.end(), failed);
    return found == requests_.end() ? nullptr : found->get();
}

net::fate multi_node_call::how_far() const noexcept {
    const request_part* const failed = failure();
    if (!failed) return net::fate::answered;
    if (failed->how_far != net::fate::unsent) return failed->how_far;
    const bool unsent = std::all_of(requests_.begin(), requests_.end(), [](const auto& each) {
        return each->how_far == net::fate::unsent;
    });
    return unsent ? net::fate::unsent : net::fate::unanswered;
}

joined_reply multi_node_call::join() {
    std::vector<reply> replies;
    for (const auto& each : requests_)
        if (!each->error) replies.push_back(std::move(each->got));
    return joined_reply::make(what_.response, replies, parts_);
}

void set_failure(batch& of, std::size_t index, std::error_code why, std::string_view words,
                 net::fate how_far) noexcept {
    of.set_error(index, why, how_far);
    // What the server said last is its reply, unless the client has more to say.
    if (words.empty() || why == errc::redirected_too_often) return;
    node said;
    said.kind = type::error;
    said.text = {0, static_cast<std::uint32_t>(words.size())};
    try {
        of.set_reply(index, value(said, words.data()));
    } catch (const std::bad_alloc&) {  // the code says enough
    }
}

}  // namespace ouro::redis

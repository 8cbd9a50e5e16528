#include <ouro/kv/redis/cluster/call.hpp>

#include <ouro/kv/redis/cluster/multi_node_call.hpp>

#include <new>
#include <utility>
#include <vector>

namespace ouro::redis {

obstacle obstacle_in_cluster(const command& what) noexcept {
    return what.info().id == verb::scan ? obstacle::cursor : obstacle_of(what);
}

bool has_cursor(const command_info& what) noexcept {
    return what.id == verb::scan || what.id == verb::hscan || what.id == verb::sscan ||
           what.id == verb::zscan;
}

bool cluster_call_base::begin() {
    error_ = {};
    thrown_ = nullptr;
    obstacle_ = has_node_ ? obstacle_of(command_) : obstacle_in_cluster(command_);
    if (obstacle_ == obstacle::blocks) obstacle_ = obstacle::none;  // a connection is leased
    if (command_.too_large())
        error_ = errc::too_large;
    else if (obstacle_ != obstacle::none)
        error_ = errc::not_shareable;
    return !error_;
}

task<> cluster_call_base::perform() {
    const redis::command_info& info = command_.info();
    const bool waits = wait_ || blocks(command_);
    if (!waits && !has_node_) {
        std::unique_ptr<multi_node_call> parts = multi_node_call::plan(by_, info, command_.bytes());
        if (parts) return scatter(std::move(parts));
    }
    const std::optional<std::uint16_t> said = command_.said_slot();
    set_slot(said ? said : slot_of_command(info, command_.bytes()));
    set_reads(slot() && !has_node_ && info.is(command_flag::read_only) && !has_cursor(info));
    set_repeatable(info.is(command_flag::read_only) || by_.options().repeat_writes);
    const std::span<routed_request*> alone(&self_, 1);
    if (!waits) return by_.deliver(alone);
    const bool for_ever =
        wait_.value_or(block_time()) <= block_time::zero() || by_.patience() == duration::max();
    return by_.deliver(alone, for_ever ? duration::max() : *wait_ + by_.patience(), true);
}

task<> cluster_call_base::scatter(std::unique_ptr<multi_node_call> parts) {
    std::vector<routed_request*> under_way;
    for (const auto& each : parts->requests()) under_way.push_back(each.get());
    co_await by_.deliver(under_way);
    if (const request_part* const failed = parts->failure()) {
        fail(failed->error, failed->words, parts->how_far());
        co_return;
    }
    const joined_reply joined = parts->join();
    if (joined.error())
        fail(joined.error(), {}, net::fate::answered);
    else
        take(joined.root());
}

void cluster_call_base::take(const value& from) {
    how_far_ = net::fate::answered;
    if (from.is_error()) {
        error_ = code_of(from.text());
        words_ = from.text();
        return;
    }
    try {
        error_ = read(from);
    } catch (const std::bad_alloc&) {
        throw;
    } catch (...) {  // a decoder of the caller's: the caller gets it
        thrown_ = std::current_exception();
    }
}

void cluster_call_base::fail(std::error_code why, std::string_view words,
                             net::fate how_far) noexcept {
    error_ = why;
    how_far_ = how_far;
    try {
        words_ = words;
    } catch (const std::bad_alloc&) {  // the code says enough
    }
}

void cluster_call_base::throw_failure() const {
    if (error_ == errc::not_shareable) throw refusal_of(command_.name(), obstacle_);
    throw redis::error(error_, how_far_, command_.name(), words_);
}

}  // namespace ouro::redis

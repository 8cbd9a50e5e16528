#include <ouro/kv/redis/cluster/pipeline.hpp>

#include <ouro/kv/redis/cluster/call.hpp>
#include <ouro/kv/redis/cluster/multi_node_call.hpp>
#include <ouro/kv/redis/error.hpp>

#include <utility>

namespace ouro::redis {

/// One command of the batch.
class cluster_pipeline::entry final : public routed_request {
public:
    void set(const cluster_core& by, batch& of, std::size_t index) {
        batch_ = &of;
        index_ = index;
        const redis::command_info& info = of.info(index);
        const auto said = of.said_slot(index);
        set_slot(said ? said : slot_of_command(info, of.bytes(index)));
        set_reads(of.read_only() && slot() && !has_cursor(info));
        set_repeatable(info.is(command_flag::read_only) || by.options().repeat_writes);
    }

private:
    bool encode(net::writer& out) const override { return out.write(batch_->bytes(index_)); }
    void take(const value& from) override { batch_->set_reply(index_, from); }
    void fail(std::error_code why, std::string_view words, net::fate how_far) noexcept override {
        set_failure(*batch_, index_, why, words, how_far);
    }

    batch* batch_ = nullptr;
    std::size_t index_ = 0;
};

struct cluster_pipeline::split_entry {
    std::size_t index;
    std::unique_ptr<multi_node_call> parts;
};

cluster_pipeline::cluster_pipeline(std::shared_ptr<cluster_core> on) : core_(std::move(on)) {}
cluster_pipeline::~cluster_pipeline() = default;

std::size_t cluster_pipeline::add(const redis::command_info& what, std::span<const arg> arguments) {
    if (!is_plain(what) || what.id == verb::scan) return add(redis::command(what, arguments));
    return batch_.add(what, arguments);
}

std::size_t cluster_pipeline::add(const redis::command& what) {
    const obstacle found = obstacle_in_cluster(what);
    if (found != obstacle::none) throw refusal_of(what.name(), found);
    return batch_.add(what);
}

task<> cluster_pipeline::exec() {
    batch_.forget_replies();
    std::vector<split_entry> split;
    set_out(split);
    co_await core_->deliver(under_way_);
    for (split_entry& each : split) join(each);
    throw_first_failure();
}

void cluster_pipeline::set_out(std::vector<split_entry>& split) {
    under_way_.clear();
    while (entries_.size() < batch_.size()) entries_.emplace_back();
    for (std::size_t index = 0; index < batch_.size(); ++index) {
        if (batch_.has_outcome(index)) continue;  // too large
        auto parts = multi_node_call::plan(*core_, batch_.info(index), batch_.bytes(index));
        if (parts) {
            for (const auto& each : parts->requests()) under_way_.push_back(each.get());
            split.push_back({index, std::move(parts)});
        } else {
            entries_[index].set(*core_, batch_, index);
            under_way_.push_back(&entries_[index]);
        }
    }
}

void cluster_pipeline::join(split_entry& one) {
    if (const request_part* const failed = one.parts->failure()) {
        set_failure(batch_, one.index, failed->error, failed->words, one.parts->how_far());
        return;
    }
    const joined_reply joined = one.parts->join();
    if (joined.error())
        batch_.set_error(one.index, joined.error(), net::fate::answered);
    else
        batch_.set_reply(one.index, joined.root());
}

void cluster_pipeline::throw_first_failure() const {
    for (std::size_t index = 0; index < batch_.size(); ++index) {
        const std::error_code why = batch_.error_of(index);
        if (why && !batch_.has_reply(index) && batch_.fate_of(index) != net::fate::answered)
            batch_.throw_error_of(index, why);
    }
}

}  // namespace ouro::redis

#include "pubsub_backplane.hpp"
#include "pubsub_protocol.hpp"
#include <ouro/kv/redis/error.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <system_error>

namespace pubsub {
namespace {

using namespace ouro;
using namespace std::chrono_literals;

constexpr duration retry_delay = 100ms;
constexpr int tries_for_the_departed = 50;  // with the delay between them

/// What Redis answers while it starts, or while a script runs.
bool passes(std::error_code why) {
    return why == redis::errc::loading || why == redis::errc::busy ||
           why == redis::errc::too_many_clients;
}

}  // namespace

task<std::unique_ptr<backplane>> backplane::connect(std::string url, hub& local) {
    auto redis = co_await bus::connect(url, local.policy() == slow_policy::block);
    co_return std::unique_ptr<backplane>(new backplane(std::move(redis), local));
}

task<std::string> backplane::publish(const std::string& name, net::chunk batch, publisher& from) {
    for (int tries = 1;; ++tries) {
        const bus::outcome done = co_await redis_->publish(name, batch);
        switch (done.what) {
            case bus::fate::taken: ++figures_.out; co_return "";
            case bus::fate::unsure: ++figures_.unsure; co_return "";
            case bus::fate::refused:
                if (!passes(done.code)) co_return "the backplane says " + done.words;
                break;
            case bus::fate::unsent: break;
        }
        if (tries >= tries_for_the_departed) from.look();
        if (from.departed()) {
            ++figures_.dropped;
            co_return "";
        }
        co_await sleep_for(retry_delay);
    }
}

task<backplane::interest> backplane::hear(std::string name) {
    interest mine(*this, name);
    std::vector<std::string> names(1, name);
    co_await redis_->subscribe(std::move(names));
    co_return std::move(mine);
}

void backplane::leave(const std::string& name) {
    const auto place = listeners_.find(name);
    if (--place->second > 0) return;
    listeners_.erase(place);
    doubtful_.push_back(name);
    doubt_.set();
}

task<> backplane::deliver() {
    while (auto message = co_await redis_->next()) {
        if (message->is_published())
            co_await pass_on(*message);
        else
            note(*message);
    }
}

task<> backplane::pass_on(const redis::message& from) {
    const messages found = read_messages(from.payload());
    if (found.bytes != from.payload().size() || found.bye || !found.why.empty()) {
        ++figures_.foreign;
        co_return;
    }
    const std::string name(from.channel());
    if (!listeners_.contains(name)) co_return;
    ++figures_.in;
    const auto to = hub_.open(name);
    if (!to->has_room()) co_await to->backlog_room(from.payload().size());
    auto bytes = net::chunk::adopt(std::string(from.payload()));
    to->take(channel::batch{std::move(bytes), found.count, {}});
}

void backplane::note(const redis::message& event) {
    if (event.kind() == redis::message_kind::interrupted) ++figures_.gaps;
    if (event.kind() == redis::message_kind::dropped) figures_.dropped += event.count();
    if (event.kind() == redis::message_kind::ended) {
        doubtful_.emplace_back(event.channel());
        doubt_.set();
    }
}

task<> backplane::tidy() {
    for (;;) {
        co_await doubt_.wait();
        doubt_.reset();
        std::vector<std::string> unwanted, wanted;
        for (std::string& name : doubtful_)
            (listeners_.contains(name) ? wanted : unwanted).push_back(std::move(name));
        doubtful_.clear();
        const auto left = co_await as_result(redis_->unsubscribe(std::move(unwanted)));
        const auto taken = co_await as_result(redis_->subscribe(wanted));
        if (left.error() == ouro::errc::cancelled || taken.error() == ouro::errc::cancelled)
            co_return;
        if (taken) continue;
        // Those who listen are still there: it is tried again.
        doubtful_.insert(doubtful_.end(), wanted.begin(), wanted.end());
        doubt_.set();
        co_await sleep_for(retry_delay);
    }
}

backplane_figures backplane::figures() const { return figures_; }

}  // namespace pubsub

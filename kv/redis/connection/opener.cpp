#include <ouro/kv/redis/connection/opener.hpp>

#include <ouro/runtime/as_result.hpp>

namespace ouro::redis {

void connection_opener::retire() {
    ++retirements_;
    forget_closed();
    retired_ = open_;
}

task<std::unique_ptr<connection>> connection_opener::connect() {
    const std::uint64_t before = retirements_;
    auto made = co_await connection::open(how_);
    forget_closed();
    open_.push_back(made->session().weak_from_this());
    if (before != retirements_) retired_.push_back(open_.back());
    co_return made;
}

bool connection_opener::usable(connection& one) noexcept {
    for (const auto& each : retired_)
        if (each.lock().get() == &one.session()) return false;
    return one.usable();
}

task<bool> connection_opener::check(connection& idle) {
    const result<void> answered = co_await as_result(idle.run<void>(verb::ping));
    co_return answered.has_value();
}

void connection_opener::forget_closed() noexcept {
    const auto is_gone = [](const auto& each) { return each.expired(); };
    std::erase_if(open_, is_gone);
    std::erase_if(retired_, is_gone);
}

}  // namespace ouro::redis

#include <ouro/kv/redis/connection/opener.hpp>

#include <ouro/runtime/as_result.hpp>

namespace ouro::redis {

connection_opener::watch::watch(connection_opener& of, session& on)
    : of_(of), on_(on.weak_from_this()) {
    on.add_observer(*this);
}

void connection_opener::watch::error_seen(std::string_view words) noexcept {
    if (words.starts_with("READONLY") && of_.read_only_.counts()) of_.retire_all();
}

task<std::unique_ptr<connection>> connection_opener::connect() {
    auto made = co_await connection::open(how_);
    forget_closed();
    open_.push_back(std::make_unique<watch>(*this, made->session()));
    co_return made;
}

task<bool> connection_opener::check(connection& idle) {
    const result<void> answered = co_await as_result(idle.run<void>(verb::ping));
    co_return answered.has_value();
}

task<bool> connection_opener::restore(connection& one) {
    const result<void> done = co_await as_result(one.unwatch());
    co_return done.has_value();
}

void connection_opener::forget_closed() noexcept {
    std::erase_if(open_, [](const auto& each) { return each->on() == nullptr; });
}

}  // namespace ouro::redis

#include <ouro/runtime/sim/world.hpp>

#include <ouro/runtime/engine/executor.hpp>
#include <ouro/runtime/sim/link.hpp>
#include <ouro/runtime/sim/reactor.hpp>
#include <ouro/runtime/sim/socket.hpp>

#include <algorithm>
#include <limits>

namespace ouro::sim {

world* world::current_or_null() noexcept {
    executor* here = executor::current_or_null();
    if (!here || here->io().name() != "sim") return nullptr;
    return &static_cast<reactor&>(here->io()).home();
}

world& world::current() noexcept {
    world* found = current_or_null();
    OURO_ASSERT(found && "the worker's reactor is a simulated one");
    return *found;
}

void world::note(happening what, std::uint64_t a, std::uint64_t b) noexcept {
    trace_.add(static_cast<std::uint64_t>(what));
    trace_.add(static_cast<std::uint64_t>(now_));
    trace_.add(a);
    trace_.add(b);
}

std::size_t world::split(std::size_t n) noexcept {
    if (n <= 1 || splitting_ == splitting::whole) return n;
    if (splitting_ == splitting::single_bytes) return 1;
    switch (chance_.below(8)) {
        case 0: return 1;
        case 1:
        case 2: return 1 + chance_.below(n);
        default: return n;
    }
}

void world::set_conditions(int fd, const conditions& how) {
    if (link* way = reactor_->way_of(fd)) way->set(how);
}

void world::cut(int fd) {
    if (link* way = reactor_->way_of(fd)) way->cut();
}

void world::repair(int fd) {
    if (link* way = reactor_->way_of(fd)) way->repair();
}

void world::reset(int fd) {
    if (socket* end = reactor_->socket_of(fd)) end->break_connection();
}

void world::fail_next(act what, int number, unsigned times) noexcept {
    failures_[static_cast<std::size_t>(what)] = {number, times};
}

int world::failure_of(act what) noexcept {
    failure& planned = failures_[static_cast<std::size_t>(what)];
    if (planned.times == 0) return 0;
    --planned.times;
    return -planned.error;
}

bool world::busy() const noexcept {
    return next_event() <= now_ || (reactor_ && reactor_->has_work());
}

world::plan_id world::plan(std::int64_t when, std::unique_ptr<event> what) {
    const plan_id id(std::max(when, now_), ++planned_);
    agenda_.emplace(id, std::move(what));
    note(happening::planned, static_cast<std::uint64_t>(id.first));
    return id;
}

std::int64_t world::next_event() const noexcept {
    if (agenda_.empty()) return std::numeric_limits<std::int64_t>::max();
    return agenda_.begin()->first.first;
}

void world::advance(std::int64_t when) {
    OURO_ASSERT(now_ <= when);
    while (next_event() <= when) {
        auto first = agenda_.extract(agenda_.begin());
        OURO_ASSERT(now_ <= first.key().first && "an event in the past");
        now_ = first.key().first;
        first.mapped()->happen();
    }
    now_ = when;
}

std::int64_t world::draw_delay(const conditions& how) noexcept {
    if (how.delay_max <= how.delay_min) return how.delay_min.count();
    return chance_.between(how.delay_min.count(), how.delay_max.count());
}

std::shared_ptr<link> world::make_link(const name& to) {
    if (to.is_unix()) return std::make_shared<link>(*this, conditions(), false);
    return std::make_shared<link>(*this, conditions_, cut_ports_.contains(to.port()));
}

void world::send_datagram(const name& to, std::unique_ptr<event> arrival) {
    if (cut_ports_.contains(to.port())) return;
    if (conditions_.losses_per_thousand > chance_.below(1000)) return;
    const std::int64_t delay = draw_delay(conditions_);
    if (delay == 0)
        arrival->happen();
    else
        plan(saturating_add(now_, delay), std::move(arrival));
}

}  // namespace ouro::sim

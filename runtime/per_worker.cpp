#include <ouro/runtime/per_worker.hpp>

#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/workers.hpp>

namespace ouro {

per_worker_slots::per_worker_slots()
    : count_(worker_count()), slots_(std::make_unique<slot[]>(count_)) {}

per_worker_slots::~per_worker_slots() {
    const executor* here = executor::current_or_null();
    for (unsigned worker = 0; worker < count_; ++worker) {
        node* made = slots_[worker].load(std::memory_order_acquire);
        if (!made) continue;
        OURO_ASSERT(here != nullptr && "a per_worker ends inside the run in which it was made");
        if (here->worker() == worker) {
            delete made;
        } else {
            // At the end of the grace period it may be too late: then it is left behind.
            workers& run = workers::current();
            if (run.departed()) run.at(worker).post(*made);
        }
    }
}

void per_worker_slots::node::run() noexcept {
    workers& run = workers::current();
    const bool stays = run.stay();  // its end may leave tasks to be joined
    OURO_ASSERT(stays);
    delete this;
    run.arrived();
}

void per_worker_slots::destroy(slot& of) noexcept {
    delete of.exchange(nullptr, std::memory_order_acq_rel);
}

task<> per_worker_slots::close() {
    for (unsigned worker = 0; worker < count_; ++worker) {
        slot& of = slots_[worker];
        if (!of.load(std::memory_order_acquire)) continue;
        if (worker == this_worker())
            destroy(of);
        else
            co_await call_on(worker, destroy, std::ref(of));
    }
}

}  // namespace ouro

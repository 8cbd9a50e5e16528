#include <ouro/runtime/remote.hpp>

#include <ouro/runtime/log.hpp>

#include <new>
#include <string>

namespace ouro {

remote_task::remote_task(const remote_task& other) noexcept : of_(other.of_) {
    of_->add_reference();
}

remote_task::~remote_task() { of_->drop_reference(); }

unsigned remote_task::worker() const noexcept { return of_->worker(); }

void remote_task::cancel() noexcept { of_->cancel(); }

void remote_task::record::drop_reference() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

void remote_task::record::send() noexcept {
    if (!run_->departed()) {
        report_refused();
        drop_reference();
        return;
    }
    run_->on_the_way(worker()).fetch_add(1, std::memory_order_relaxed);
    run_->at(worker()).post(*this);
}

void remote_task::record::report_refused() const noexcept {
    if (!log_enabled()) return;
    try {
        log(log_level::warning, std::string("a task spawned at ") + place().file_name() + ':' +
                                    std::to_string(place().line()) +
                                    " is not started: the run is over");
    } catch (const std::bad_alloc&) {
        log(log_level::warning, "a task is not started: the run is over");
    }
}

void remote_task::record::run() noexcept {
    const bool stays = run_->stay();
    OURO_ASSERT(stays && "what has departed keeps the run going");
    run_->on_the_way(worker()).fetch_sub(1, std::memory_order_relaxed);
    try {
        id_ = start().id();
    } catch (const std::exception& error) {
        ++executor::current().stats().failed_detached;
        log(log_level::error, std::string("a task could not be started: ") + error.what());
    }
    run_->arrived();
    drop_reference();
}

void remote_task::record::cancel() noexcept {
    if (cancel_sent_.exchange(true, std::memory_order_relaxed)) return;
    if (!run_->departed()) return;  // the task has ended, or was left behind
    add_reference();
    run_->at(worker()).post(canceller_);
}

void remote_task::record::pass_on_cancel() noexcept {
    // Inboxes keep the order of what was posted first, so the task has been started.
    if (root_task* task = executor::current().tasks().find(id_)) task->cancel(cancel_reason::user);
    run_->arrived();
    drop_reference();
}

unsigned least_loaded_worker() noexcept {
    workers& run = workers::current();
    const workers::visit inside(run);
    return inside ? run.least_loaded() : 0;
}

bool remote_leaf::suspend(promise_base& frame) noexcept {
    refused_ = !wait(frame);
    if (refused_) return false;
    home_ = &executor::current();
    deadline_ = frame.owner->deadline();
    ++out_;
    workers& run = workers::current();
    run.on_the_way(where_.number).fetch_add(1, std::memory_order_relaxed);
    run.at(where_.number).post(call_);
    return true;
}

void remote_leaf::begin() noexcept {
    workers& run = workers::current();
    run.on_the_way(where_.number).fetch_sub(1, std::memory_order_relaxed);
    if (!run.stay()) return;  // nobody is left to be answered
    task_ = call(*this, where_.place);
    if (task_)
        task_->set_deadline(deadline_);
    else
        send_home(call_);
}

void remote_leaf::task_ended(root_task&) noexcept {
    task_ = nullptr;
    send_home(call_);
}

void remote_leaf::cancel(cancel_reason reason) noexcept {
    canceller_.reason_ = reason;
    ++out_;
    workers::current().at(where_.number).post(canceller_);
}

void remote_leaf::pass_on_cancel() noexcept {
    if (task_) task_->cancel(canceller_.reason_);
    send_home(canceller_);
}

void remote_leaf::send_home(message& what) noexcept {
    what.there_ = true;
    home_->post(what);
}

void remote_leaf::came_home() noexcept {
    if (--out_ == 0) resume();
}

void remote_leaf::describe(leaf_description& into) const {
    into.text("call on worker " + std::to_string(where_.number));
}

}  // namespace ouro

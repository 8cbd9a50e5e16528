#include <ouro/runtime/testing/trial.hpp>

#include <ouro/runtime/dump.hpp>
#include <ouro/runtime/io/buffer_pool.hpp>
#include <ouro/runtime/sim/reactor.hpp>
#include <ouro/runtime/sim/shuffle.hpp>
#include <ouro/runtime/testing/watchdog.hpp>

#include <system_error>
#include <utility>
#include <vector>

namespace ouro::sim {
namespace {

/// Executors that cannot be destroyed because something may still refer to them.
std::vector<std::unique_ptr<executor>>& abandoned() {
    static auto& all = *new std::vector<std::unique_ptr<executor>>;
    return all;
}

class trial final : private task_owner, private loop_observer {
public:
    trial(std::unique_ptr<ouro::reactor> io, const trial_options& how)
        : how_(how),
          loop_(std::make_unique<executor>(std::move(io), 0, how.turn)),
          world_(world::current_or_null()),
          order_(world_),
          dog_(loop_->io(), world_ == nullptr, how.patience) {
        loop_->observe(this);
    }

    trial_report run(task<> body) {
        start(std::move(body));
        while (root_ && report_.hang.empty()) {
            loop_->turn();
            if (root_) look_for_hang();
        }
        report_.failure = outcome_.failure();
        drain();
        count_leftovers();
        if (world_) report_.trace_hash = world_->trace_hash();
        loop_->observe(nullptr);
        if (!report_.leftovers.empty()) {
            executor::forget();
            abandoned().push_back(std::move(loop_));
        }
        return std::move(report_);
    }

private:
    void start(task<> body) {
        root_ = &start_root(keep_outcome(std::move(body), outcome_), this, nullptr, {});
        root_->set_name("test");
        cancel_when_due();
    }

    void task_ended(root_task&) noexcept override { root_ = nullptr; }

    std::size_t choose(std::size_t) noexcept override { return order_.choose(loop_->ready()); }
    std::size_t draw(std::size_t bound) noexcept override { return order_.draw(bound); }
    void resuming(promise_base& frame) noexcept override { order_.resuming(frame); }
    void resumed() noexcept override {
        order_.resumed(loop_->ready());
        if (!root_) return;
        ++report_.suspensions;
        cancel_when_due();
    }

    void cancel_when_due() noexcept {
        if (report_.suspensions != how_.cancel_after || root_->finished()) return;
        report_.cancelled = true;
        root_->cancel(cancel_reason::user);
    }

    void look_for_hang() {
        if (loop_->stuck())
            give_up("would have deadlocked: nothing is ready and nothing can ever wake");
        else if (dog_.barked())
            give_up("takes too long");
    }

    void give_up(const char* why) { report_.hang = std::string(why) + '\n' + dump_tasks(); }

    void drain() {
        if (root_) root_->cancel(cancel_reason::shutdown);
        loop_->tasks().cancel_all(cancel_reason::shutdown);
        dog_.restart();
        while (loop_->tasks().alive() > 0 || loop_->io().in_flight() > 0) {
            loop_->turn();
            if (loop_->tasks().alive() == 0 && loop_->io().in_flight() == 0) break;
            if (loop_->stuck() || dog_.barked()) break;
        }
    }

    void count_leftovers() {
        if (const auto alive = loop_->tasks().alive()) {
            leftover(alive, "tasks that do not end when cancelled");
            report_.leftovers += '\n' + dump_tasks();
        }
        leftover(loop_->tasks().records() - loop_->tasks().alive(), "task records");
        leftover(loop_->timers().size(), "timers");
        leftover(loop_->io().in_flight(), "operations in flight");
        leftover(buffers_out(), "receive buffers that are lent");
        if (world_) {
            const auto& io = static_cast<reactor&>(loop_->io());
            leftover(io.open(), "descriptors");
            leftover(io.bad_closes(), "closes of what was not open");
        }
        const std::uint64_t frames = frame_pool::stats().live;
        if (frames > how_.frames_before) leftover(frames - how_.frames_before, "frames");
    }

    std::size_t buffers_out() const {
        try {
            const buffer_pool& pool = loop_->io().buffers();
            return pool.size() - pool.available();
        } catch (const std::system_error&) {
            return 0;  // this reactor has none to lend
        }
    }

    void leftover(std::size_t count, const char* of_what) {
        if (count == 0) return;
        if (!report_.leftovers.empty()) report_.leftovers += ", ";
        report_.leftovers += std::to_string(count) + ' ' + of_what;
    }

    const trial_options& how_;
    std::unique_ptr<executor> loop_;
    world* world_;
    shuffle order_;
    watchdog dog_;
    trial_report report_;
    task_outcome<void> outcome_;
    root_task* root_ = nullptr;  // until it has ended
};

}  // namespace

trial_report run_trial(std::unique_ptr<ouro::reactor> io, task<> body, const trial_options& how) {
    trial one(std::move(io), how);
    return one.run(std::move(body));
}

std::string text_of(const std::exception_ptr& failure) {
    if (!failure) return {};
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& error) {
        return error.what();
    } catch (...) {
        return "an exception of unknown type";
    }
}

}  // namespace ouro::sim

#include <ouro/runtime/testing/watchdog.hpp>

#include <ctime>

namespace ouro::sim {
namespace {

constexpr unsigned calls_per_look = 64;

/// That this thread has used.
std::chrono::nanoseconds processor_time() noexcept {
    timespec used{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

}  // namespace

watchdog::watchdog(ouro::reactor& watched, bool sleeps, duration patience)
    : watched_(watched),
      patience_(patience),
      processor_end_(processor_time() + patience),
      end_(after(real_clock::now(), patience)) {
    if (sleeps) thread_ = std::thread([this] { watch(); });
}

watchdog::~watchdog() {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        over_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

bool watchdog::barked() noexcept {
    if (!thread_.joinable() && ++calls_ % calls_per_look == 0 && processor_time() >= processor_end_)
        barked_ = true;
    return barked_;
}

void watchdog::restart() {
    const std::lock_guard lock(mutex_);
    processor_end_ = processor_time() + patience_;
    end_ = after(real_clock::now(), patience_);
    barked_ = false;
    changed_.notify_one();
}

void watchdog::watch() {
    std::unique_lock lock(mutex_);
    while (!over_) {
        if (barked_) {
            changed_.wait(lock);
        } else if (changed_.wait_until(lock, end_) == std::cv_status::timeout &&
                   real_clock::now() >= end_ && !over_) {
            barked_ = true;
            watched_.wake();
        }
    }
}

}  // namespace ouro::sim

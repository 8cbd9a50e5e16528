// watchdog.hpp: an end for those who do not come back.
#pragma once

#include <ouro/runtime/clock.hpp>
#include <ouro/runtime/engine/reactor.hpp>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace ouro::sim {

/// Barks when more time has passed than it has patience for, and wakes the reactor then.
///
/// A simulated loop never sleeps: from time to time it looks how much processor time its thread has
/// used, so that a busy machine fails nobody. A real one is watched from a thread, in real time.
class watchdog {
public:
    watchdog(ouro::reactor& watched, bool sleeps, duration patience);
    ~watchdog();
    watchdog(const watchdog&) = delete;
    watchdog& operator=(const watchdog&) = delete;

    /// True from the bark until `restart`. Call it once per turn.
    bool barked() noexcept;

    /// Begins anew.
    void restart();

private:
    using real_clock = std::chrono::steady_clock;

    void watch();

    ouro::reactor& watched_;
    duration patience_;
    std::atomic<bool> barked_ = false;
    unsigned calls_ = 0;
    std::chrono::nanoseconds processor_end_{};  // of a simulated loop
    real_clock::time_point end_;                // guarded by `mutex_` once the thread runs
    bool over_ = false;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::thread thread_;
};

}  // namespace ouro::sim

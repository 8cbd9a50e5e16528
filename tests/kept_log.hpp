// kept_log.hpp: keeps what the library logs instead of printing it, for tests that cause trouble.
#pragma once

#include <ouro/runtime/log.hpp>

#include <array>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <string>
#include <string_view>

namespace ouro {

/// While it lives, the last messages of the library are kept, for whoever reports a failure, and
/// standard error stays free for that. One at a time. Allocates nothing when something is logged.
class kept_log {
public:
    kept_log() {
        start_anew();
        set_log(keep);
    }
    ~kept_log() { set_log(print_troubles); }
    kept_log(const kept_log&) = delete;

    /// Forgets what was logged.
    static void start_anew() {
        const std::lock_guard held(lock_);
        size_ = 0;
        missing_ = 0;
    }

    /// What was logged, a line each, or the first part of it.
    static std::string text() {
        const std::lock_guard held(lock_);
        std::string all(lines_.data(), size_);
        if (missing_ > 0) all += "and " + std::to_string(missing_) + " more\n";
        return all;
    }

private:
    static void keep(log_level level, std::string_view text) {
        if (level < log_level::warning) return;
        const std::lock_guard held(lock_);
        if (text.size() + 1 > lines_.size() - size_) {
            ++missing_;
            return;
        }
        std::memcpy(lines_.data() + size_, text.data(), text.size());
        size_ += text.size();
        lines_[size_++] = '\n';
    }
    static void print_troubles(log_level level, std::string_view text) {
        if (level >= log_level::warning) log_to_stderr(level, text);
    }

    inline static std::mutex lock_;
    inline static std::array<char, 4096> lines_;
    inline static std::size_t size_ = 0;
    inline static std::size_t missing_ = 0;
};

}  // namespace ouro

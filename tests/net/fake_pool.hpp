// fake_pool.hpp: a pool of fake connections to a scripted server, for the tests of pools.
#pragma once

#include <ouro/net/pool/pool.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ouro {

using namespace std::chrono_literals;
using net::pool_options;

struct fake;

/// The server: how attempts go, and who is connected.
struct server {
    duration delay = 1ms;  // of an attempt
    int refuse = 0;        // so many attempts are refused
    bool silent = false;   // attempts and checks get no answer
    bool check_fails = false;
    bool restore_fails = false;
    int restores = 0;
    std::vector<time_point> began;  // each attempt
    int attempts = 0;
    int attempts_at_once = 0;
    int attempts_at_once_max = 0;
    int checks = 0;
    int checks_at_once = 0;
    int checks_at_once_max = 0;
    std::vector<fake*> connected;
    std::vector<int> closed;
};

// An attempt may outlive the pool by a moment, so everybody owns the server.
using shared_server = std::shared_ptr<server>;

struct fake {
    fake(shared_server to, int number) : of(std::move(to)), id(number) {
        of->connected.push_back(this);
        of->closed.reserve(of->closed.size() + of->connected.size());  // for the destructor
    }
    ~fake() {
        std::erase(of->connected, this);
        of->closed.push_back(id);
    }
    bool usable() const noexcept { return !dead; }

    shared_server of;
    int id;
    bool dead = false;
    bool dirty = false;  // to be restored
};

struct one_more {
    one_more(int& now, int& max) : now_(now) {
        if (++now_ > max) max = now_;
    }
    ~one_more() { --now_; }
    int& now_;
};

class connector final : public net::pool_connector<fake> {
public:
    explicit connector(shared_server to) : of_(std::move(to)) {}

    task<std::unique_ptr<fake>> connect() override {
        const int id = ++of_->attempts;
        of_->began.push_back(clock::now());
        const one_more here(of_->attempts_at_once, of_->attempts_at_once_max);
        co_await sleep_for(of_->silent ? 1h : of_->delay);
        if (of_->refuse > 0) {
            --of_->refuse;
            throw std::system_error(std::make_error_code(std::errc::connection_refused));
        }
        co_return std::make_unique<fake>(of_, id);
    }

    task<bool> check(fake&) override {
        ++of_->checks;
        const one_more here(of_->checks_at_once, of_->checks_at_once_max);
        co_await sleep_for(of_->silent ? 1h : of_->delay);
        if (of_->check_fails) throw std::runtime_error("no");
        co_return true;
    }

    bool needs_restore(fake& one) noexcept override { return one.dirty; }
    task<bool> restore(fake& one) override {
        ++of_->restores;
        co_await sleep_for(of_->silent ? 1h : of_->delay);
        if (of_->restore_fails) throw std::runtime_error("no");
        one.dirty = false;
        co_return true;
    }

private:
    shared_server of_;
};

using fake_pool = net::pool<fake>;

struct story {
    explicit story(const pool_options& options = {})
        : pool(std::make_unique<connector>(shared), options) {}

    shared_server shared = std::make_shared<server>();
    server& there = *shared;
    fake_pool pool;
};

inline pool_options small(std::size_t connections_max) {
    pool_options options;
    options.connections_max = connections_max;
    return options;
}

inline task<> hold(fake_pool& from, std::string& order, char name, duration length) {
    auto lease = co_await from.acquire();
    order += name;
    co_await sleep_for(length);
}

inline task<std::error_code> error_of_acquire(fake_pool& from, duration patience) {
    auto lease = co_await as_result(from.acquire(patience));
    co_return lease.error();
}

inline std::error_code refused() { return std::make_error_code(std::errc::connection_refused); }

}  // namespace ouro

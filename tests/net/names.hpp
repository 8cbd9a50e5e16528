// names.hpp: a source of names for tests: it answers what it was told, when it was told to.
#pragma once

#include <ouro/net/resolver.hpp>
#include <ouro/runtime/time/sleep.hpp>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ouro::net {

struct test_names final : name_source {
    std::map<std::string, std::vector<endpoint>> known;  // by "host" or "host service"
    std::error_code failure;                             // of every lookup, if set
    std::error_code failure_of_first;                    // of the next that ends, if set
    duration takes{};
    bool breaks = false;  // throws something that is no std::system_error
    int asked = 0;

    task<result<std::vector<endpoint>>> look_up(std::string host, std::string service) override {
        ++asked;
        if (takes > duration::zero()) co_await sleep_for(takes);
        if (breaks) throw std::runtime_error("broken");
        if (failure) co_return failure;
        if (failure_of_first) co_return std::exchange(failure_of_first, {});
        const auto found = known.find(service.empty() ? host : host + ' ' + service);
        if (found == known.end()) co_return errc::host_not_found;
        co_return found->second;
    }
};

}  // namespace ouro::net

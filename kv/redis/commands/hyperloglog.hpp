// hyperloglog.hpp: about how many different elements were seen, in 12 KiB.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>

#include <cstdint>
#include <string_view>

namespace ouro::redis {

/// The HyperLogLog commands of a door. The standard error of a count is 0.81 %.
template <class Door>
class hyperloglog_commands {
public:
    /// PFADD: whether the count may have changed. Without elements: makes the key.
    auto pfadd(std::string_view key, const words& elements) {
        arg_list list;
        list.add(key);
        add_all(list, elements.args());
        return door().template run<bool>(verb::pfadd, list);
    }
    /// PFCOUNT: about how many different elements the keys have seen together.
    auto pfcount(const words& keys) {
        return door().template run<std::int64_t>(verb::pfcount, keys.args());
    }
    /// PFMERGE: `to` has seen what it and the others have.
    auto pfmerge(std::string_view to, const words& keys) {
        arg_list list;
        list.add(to);
        add_all(list, keys.args());
        return door().template run<void>(verb::pfmerge, list);
    }

private:
    Door& door() noexcept { return static_cast<Door&>(*this); }
};

}  // namespace ouro::redis

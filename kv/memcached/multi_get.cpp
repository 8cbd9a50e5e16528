// The part of the client that asks for many keys: grouped by server, all servers at once.
#include <ouro/kv/memcached/client_core.hpp>
#include <ouro/runtime/scope.hpp>

#include <algorithm>
#include <utility>

namespace ouro::memcached {
namespace {

/// Keys of one exchange of a multi-get; more take several, so that others come in between.
constexpr std::size_t batch_keys_max = 1000;

using index_list = std::vector<std::uint32_t>;

/// The state of a multi-get while it runs.
struct multi_get {
    client_core& core;
    std::span<const std::string_view> keys;
    std::vector<std::optional<item>>& found;
    request wishes;
    index_list left_over;  // keys whose server went down before they were asked for
};

task<> get_from(multi_get& all, session& to, index_list which) {
    const std::span<const std::uint32_t> rest(which);
    for (std::size_t at = 0; at < rest.size(); at += batch_keys_max) {
        const std::size_t n = std::min(batch_keys_max, rest.size() - at);
        batch_get asked(to, all.keys, rest.subspan(at, n), all.found, all.wishes);
        co_await asked;
        if (asked.error_code() && asked.how_far() == net::fate::unsent && to.is_down()) {
            bool some_stay = false;
            for (const std::uint32_t i : rest.subspan(at)) {
                const bool stays = &all.core.route(all.keys[i]) == &to;
                some_stay |= stays;
                if (!stays) all.left_over.push_back(i);
            }
            if (some_stay) all.core.is_missed(asked);
            co_return;
        }
        all.core.is_missed(asked);
    }
}

std::vector<index_list> group_by_node(multi_get& all, const index_list& which) {
    std::vector<index_list> groups(all.core.size());
    for (const std::uint32_t i : which) groups[all.core.node_of(all.keys[i])].push_back(i);
    return groups;
}

task<> get_from_all(multi_get& all, index_list which) {
    std::vector<index_list> groups = group_by_node(all, which);
    auto ask_each = [&](scope& tasks) -> task<> {
        for (std::size_t node = 0; node < groups.size(); ++node)
            if (!groups[node].empty())
                tasks.spawn(get_from(all, all.core.at(node), std::move(groups[node])));
        co_return;
    };
    co_await with_scope(ask_each);
}

task<> run_multi_get(multi_get& all) {
    index_list which(all.keys.size());
    for (std::uint32_t i = 0; i < which.size(); ++i) {
        const request one{.key = all.keys[i], .base64 = all.core.options().base64_keys};
        if (const std::error_code fault = find_fault(one, all.core.at(0).options()))
            throw error(fault, net::fate::unsent, {}, {});
        which[i] = i;
    }
    for (int round = 0; !which.empty() && round < 4; ++round) {
        all.left_over.clear();
        if (all.core.size() == 1)
            co_await get_from(all, all.core.at(0), std::move(which));
        else
            co_await get_from_all(all, std::move(which));
        which = std::move(all.left_over);
    }
    if (!which.empty() && !all.core.options().errors_as_misses)
        throw error(errc::server_down, net::fate::unsent, {}, "servers go down one after another");
}

}  // namespace

task<std::vector<std::optional<item>>> client::gets_multi(std::vector<std::string_view> keys) {
    std::vector<std::optional<item>> found(keys.size());
    multi_get all{*core_, keys, found, {.wants_flags = true, .wants_cas = true}, {}};
    co_await run_multi_get(all);
    co_return std::move(found);
}

task<std::vector<std::optional<std::string>>> client::get_multi(
    std::vector<std::string_view> keys) {
    std::vector<std::optional<item>> found(keys.size());
    multi_get all{*core_, keys, found, {}, {}};
    co_await run_multi_get(all);
    std::vector<std::optional<std::string>> values(keys.size());
    for (std::size_t i = 0; i < found.size(); ++i)
        if (found[i]) values[i] = std::move(found[i]->value);
    co_return std::move(values);
}

}  // namespace ouro::memcached

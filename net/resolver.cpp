#include <ouro/net/resolver.hpp>

#include <ouro/runtime/abandonable.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/engine/intrusive_list.hpp>
#include <ouro/runtime/spawn.hpp>
#include <ouro/runtime/sync/event.hpp>

#include <netdb.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <new>
#include <optional>
#include <string_view>
#include <unordered_map>

namespace ouro::net {
namespace {

using answer = result<std::vector<endpoint>>;

constexpr std::size_t host_bytes_max = 253;     // RFC 1035, without the root's dot
constexpr std::size_t service_bytes_max = 255;  // RFC 6335 allows 15; /etc/services may differ
constexpr unsigned lookups_per_name_max = 2;    // at a time

/// What this process or machine has run out of, so that nobody could be asked; 0: nothing. glibc
/// calls a name unknown when it could open neither /etc/hosts nor a socket. `left_errno` is what it
/// left in errno, which was 0 before.
int shortage(int left_errno) noexcept {
    for (const int known : {EMFILE, ENFILE, ENOMEM, ENOBUFS})
        if (left_errno == known) return known;
    const int spare = ::eventfd(0, EFD_CLOEXEC);
    if (spare < 0) return errno;
    ::close(spare);
    return 0;
}

std::error_code error_of_getaddrinfo(int error, int left_errno) noexcept {
    if (error == EAI_MEMORY) return std::make_error_code(std::errc::not_enough_memory);
    if (const int what = shortage(left_errno)) return error_of(-what);
    switch (error) {
        case EAI_AGAIN: return std::make_error_code(std::errc::resource_unavailable_try_again);
        case EAI_SYSTEM: return error_of(-(left_errno != 0 ? left_errno : EIO));
        case EAI_FAIL: return std::make_error_code(std::errc::io_error);  // a server refused
        default: return errc::host_not_found;
    }
}

/// Blocks.
answer ask_system(const std::string& host, const std::string& service) {
    addrinfo wanted{};
    wanted.ai_socktype = SOCK_STREAM;  // else every address comes once per type
    wanted.ai_flags = AI_ADDRCONFIG;
    addrinfo* found = nullptr;
    errno = 0;
    const int error =
        ::getaddrinfo(host.c_str(), service.empty() ? nullptr : service.c_str(), &wanted, &found);
    if (error != 0) return error_of_getaddrinfo(error, errno);
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
    std::vector<endpoint> addresses;
    for (const addrinfo* each = found; each; each = each->ai_next) {
        const auto where = endpoint::from(each->ai_addr, each->ai_addrlen);
        if (where && std::find(addresses.begin(), addresses.end(), *where) == addresses.end())
            addresses.push_back(*where);
    }
    if (addresses.empty()) return errc::host_not_found;
    return addresses;
}

class system_source final : public name_source {
public:
    task<answer> look_up(std::string host, std::string service) override {
        auto asked = co_await as_result(
            abandonable(blocking_lane::lookups, ask_system, std::move(host), std::move(service)));
        co_return asked;
    }
};

/// A port by number; nullopt for the name of a service.
std::optional<std::uint16_t> read_port(std::string_view text) noexcept {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return port;
}

bool is_name(std::string_view text, std::size_t bytes_max) noexcept {
    return !text.empty() && text.size() <= bytes_max && text.find('\0') == text.npos;
}

/// "*" and "" are addresses to listen on, and nothing to look up.
bool is_host(std::string_view text) noexcept {
    if (text.ends_with('.')) text.remove_suffix(1);
    return is_name(text, host_bytes_max) && text != "*";
}

void lower(std::string& text) noexcept {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
}

[[noreturn]] void throw_unresolved(std::error_code why, const std::string& host) {
    if (why == errc::cancelled) throw_error(why);
    throw std::system_error(why, "cannot resolve " + host);
}

}  // namespace

/// What is known and what is being asked. Shared with the lookups under way, which may outlive the
/// resolver.
class resolver::memory : public std::enable_shared_from_this<memory> {
public:
    memory(const resolver_options& options, std::shared_ptr<name_source> source)
        : options_(options), source_(std::move(source)) {
        OURO_ASSERT(options_.entries_max > 0 && source_ &&
                    "resolver: entries_max is at least 1, and there is a source");
    }
    ~memory() { clear(); }

    /// Answers from memory, from a lookup under way, or by starting one.
    task<answer> find(std::string host, std::string service) {
        forget_other_runs();
        std::string key = host + '\0' + service;
        std::shared_ptr<entry> known = recall(key);
        if (!known) known = add(std::move(key));
        if (known->known) {
            ++stats_.hits;
            co_return *known->known;
        }
        if (must_ask(*known)) {
            spawn(look_up(shared_from_this(), known, std::move(host), std::move(service)));
            ++known->lookups;
            ++stats_.lookups;
        } else {
            ++stats_.joined;
        }
        const count_in waiting(known->waiters);
        auto waited = co_await as_result(known->done.wait());
        if (!waited) co_return waited.error();
        OURO_ASSERT(known->known && "resolver: told, and there is no answer");
        co_return *known->known;
    }

    void forget(std::string host, const std::string& service) {
        forget_other_runs();
        const auto at = entries_.find(host + '\0' + service);
        if (at != entries_.end() && at->second->known) forget(*at->second);
    }

    void clear() noexcept {
        by_use_.for_each([](entry& each) { each.unlink(); });
        entries_.clear();
    }

    std::size_t size() const noexcept { return entries_.size(); }
    const resolver_stats& stats() const noexcept { return stats_; }

private:
    /// One name. Linked while it is remembered.
    struct entry final : list_hook<> {
        explicit entry(std::string of) : key(std::move(of)) {}

        std::string key;
        std::optional<answer> known;  // none while it is being looked up
        time_point until{};           // how long `known` holds
        unsigned lookups = 0;         // under way
        unsigned waiters = 0;         // for `done`
        event done;
    };

    struct count_in {
        explicit count_in(unsigned& of) noexcept : count(of) { ++count; }
        ~count_in() { --count; }
        count_in(const count_in&) = delete;
        count_in& operator=(const count_in&) = delete;

        unsigned& count;
    };

    /// Nobody waits for a lookup that was given up, and it may hang: who comes then has the name
    /// asked once more, and takes the answer that comes first. A name that always hangs still
    /// holds few threads.
    static bool must_ask(const entry& of) noexcept {
        return of.lookups == 0 || (of.waiters == 0 && of.lookups < lookups_per_name_max);
    }

    /// What another run of this thread left behind never ends, its clock may differ, and its tasks
    /// must not be woken.
    void forget_other_runs() noexcept {
        const std::uint64_t here = executor::current().serial();
        if (std::exchange(run_, here) != here) clear();
    }

    static task<> look_up(std::shared_ptr<memory> self, std::shared_ptr<entry> into,
                          std::string host, std::string service) {
        // Whatever happens, those who wait are told.
        answer asked = std::make_error_code(std::errc::io_error);
        try {
            asked = co_await self->source_->look_up(std::move(host), std::move(service));
        } catch (const std::system_error& error) {
            asked = error.code();
        } catch (const std::bad_alloc&) {
            asked = std::make_error_code(std::errc::not_enough_memory);
        } catch (...) {
        }
        if (asked && asked->empty()) asked = errc::host_not_found;
        self->keep(*into, std::move(asked));
    }

    /// What is still good, moved to the end of the line of those to be forgotten.
    std::shared_ptr<entry> recall(const std::string& key) {
        const auto at = entries_.find(key);
        if (at == entries_.end()) return nullptr;
        std::shared_ptr<entry> found = at->second;
        if (found->known && clock::now() >= found->until) {
            forget(*found);
            return nullptr;
        }
        found->unlink();
        by_use_.push_back(*found);
        return found;
    }

    std::shared_ptr<entry> add(std::string key) {
        if (entries_.size() >= options_.entries_max) forget(by_use_.front());
        auto made = std::make_shared<entry>(std::move(key));
        const bool is_new = entries_.emplace(made->key, made).second;
        OURO_ASSERT(is_new && entries_.size() <= options_.entries_max);
        by_use_.push_back(*made);
        return made;
    }

    void keep(entry& of, answer found) {
        OURO_ASSERT(of.lookups > 0);
        --of.lookups;
        if (of.known) return;  // another lookup was quicker
        const bool answered = found || found.error() == errc::host_not_found;
        if (!answered && of.lookups > 0) return;  // another one may do better
        duration ttl = found ? options_.ttl : options_.negative_ttl;
        if (!answered) ttl = {};
        of.known = std::move(found);
        of.until = clock::now() + ttl;
        if (ttl <= duration::zero() && of.linked()) forget(of);
        of.done.set();
    }

    void forget(entry& which) noexcept {
        const auto at = entries_.find(which.key);
        OURO_ASSERT(at != entries_.end() && at->second.get() == &which);
        which.unlink();
        entries_.erase(at);
    }

    resolver_options options_;
    std::shared_ptr<name_source> source_;
    std::unordered_map<std::string, std::shared_ptr<entry>> entries_;
    intrusive_list<entry> by_use_;  // least recently used first
    resolver_stats stats_;
    std::uint64_t run_ = 0;  // whose lookups and times these are
};

std::shared_ptr<name_source> system_names() { return std::make_shared<system_source>(); }

resolver::resolver(const resolver_options& options, std::shared_ptr<name_source> source)
    : memory_(std::make_shared<memory>(options, std::move(source))) {}

resolver::resolver(resolver&&) noexcept = default;
resolver& resolver::operator=(resolver&&) noexcept = default;
resolver::~resolver() = default;

resolver& resolver::of_this_worker() {
    static thread_local resolver own;
    return own;
}

task<std::vector<endpoint>> resolver::resolve(std::string host, std::uint16_t port) {
    if (!is_host(host)) throw_unresolved(errc::host_not_found, host);
    const std::shared_ptr<memory> memory = memory_;
    if (const auto literal = endpoint::parse(host, port)) co_return std::vector<endpoint>{*literal};
    std::string name = host;
    lower(name);
    answer found = co_await memory->find(std::move(name), std::string());
    if (!found) throw_unresolved(found.error(), host);
    for (endpoint& each : *found) each = each.with_port(port);
    co_return *std::move(found);
}

task<std::vector<endpoint>> resolver::resolve(std::string host, std::string service) {
    if (const auto port = read_port(service)) co_return co_await resolve(std::move(host), *port);
    if (!is_host(host) || !is_name(service, service_bytes_max))
        throw_unresolved(errc::host_not_found, host + ':' + service);
    const std::shared_ptr<memory> memory = memory_;
    std::string name = host;
    lower(name);
    answer found = co_await memory->find(std::move(name), service);
    if (!found) throw_unresolved(found.error(), host + ':' + service);
    co_return *std::move(found);
}

void resolver::forget(std::string host, std::string service) noexcept {
    try {
        lower(host);
        if (read_port(service)) service.clear();
        memory_->forget(std::move(host), service);
    } catch (const std::bad_alloc&) {  // then its time will come
    }
}

void resolver::clear() noexcept { memory_->clear(); }

std::size_t resolver::size() const noexcept { return memory_->size(); }

const resolver_stats& resolver::stats() const noexcept { return memory_->stats(); }

}  // namespace ouro::net

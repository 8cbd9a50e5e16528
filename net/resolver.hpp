// resolver.hpp: from names to addresses, with a memory.
#pragma once

#include <ouro/net/endpoint.hpp>
#include <ouro/runtime/clock.hpp>
#include <ouro/runtime/result.hpp>
#include <ouro/runtime/task.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ouro::net {

/// Where a resolver asks.
class name_source {
public:
    virtual ~name_source() = default;

    /// The addresses of `host`, best first, with the port of `service`, or with port 0 when that is
    /// empty. Both were checked: neither is too long or holds a NUL, and `host` is not empty.
    ///
    /// errc::host_not_found is remembered as an answer, other errors are not. The source lives
    /// until the task has ended. A lookup that can be cancelled keeps no run from ending.
    virtual task<result<std::vector<endpoint>>> look_up(std::string host, std::string service) = 0;
};

/// The system's resolver: getaddrinfo(3), with /etc/hosts and all, on helper threads that do
/// nothing else (runtime_options::lookup_threads_max). Returns addresses in the order of RFC 6724,
/// and only of families that this machine has addresses of.
///
/// A lookup that is cancelled ends at once; getaddrinfo is left to its thread, and nobody waits for
/// it. Errors say why: errc::host_not_found when the name or service does not exist,
/// std::errc::resource_unavailable_try_again when no name server answers, io_error when one refuses
/// to; too_many_files_open and the like when this process could not ask; errc::overloaded and
/// errc::no_thread as of blocking().
std::shared_ptr<name_source> system_names();

/// How a resolver remembers. getaddrinfo does not tell how long an answer holds.
struct resolver_options {
    duration ttl = std::chrono::seconds(30);          ///< of an answer; 0: none is remembered
    duration negative_ttl = std::chrono::seconds(5);  ///< of "not found"; 0: not remembered
    std::size_t entries_max = 1024;                   ///< then the least recently used one goes
};

/// What a resolver has done so far.
struct resolver_stats {
    std::uint64_t lookups = 0;  ///< how often the source was asked
    std::uint64_t hits = 0;     ///< answered from memory, "not found" included
    std::uint64_t joined = 0;   ///< waited for a lookup that somebody else had started
};

/// Looks names up. Worker-local.
///
/// Several tasks that ask for one name at the same time cause one lookup. Cancelling one of them
/// ends its waiting; the lookup goes on for the others and for the memory. When nobody waits for it
/// any more, the next who asks has the name looked up once more, and gets the answer that comes
/// first. The resolver may be destroyed meanwhile. In another run it starts afresh.
class resolver {
public:
    explicit resolver(const resolver_options& options = {},
                      std::shared_ptr<name_source> source = system_names());
    resolver(resolver&&) noexcept;
    resolver& operator=(resolver&&) noexcept;
    ~resolver();

    /// The calling worker's own, with the options above; lives as long as its thread.
    static resolver& of_this_worker();

    /// The addresses of a host, at least one, best first. Literal addresses ("127.0.0.1", "::1",
    /// "[::1]", "fe80::1%eth0") are answered at once. Names are case-insensitive.
    ///
    /// Throws errc::host_not_found, what() reading "cannot resolve nosuch.example: host not found";
    /// what the source says otherwise, see system_names(); errc::cancelled.
    task<std::vector<endpoint>> resolve(std::string host, std::uint16_t port);

    /// The same with a service by name ("http") or by number.
    task<std::vector<endpoint>> resolve(std::string host, std::string service);

    /// Forgets what is known of a host, because nobody was there: whoever asks next has it looked
    /// up. A lookup that is under way goes on, and is remembered.
    void forget(std::string host, std::string service = {}) noexcept;

    /// Forgets everything; lookups that are under way are not remembered.
    void clear() noexcept;

    /// Names in memory, those being looked up included.
    std::size_t size() const noexcept;
    const resolver_stats& stats() const noexcept;

private:
    class memory;

    std::shared_ptr<memory> memory_;  // lookups under way share it
};

}  // namespace ouro::net

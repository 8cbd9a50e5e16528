// reactor.hpp: the third reactor: a ring in user space over a simulated world.
//
// It has every operation fill a submission entry, as a ring would, and interprets the entry. What
// works on the ring therefore works here without a line of its own.
//
//   submit ──> started ──attempt──> done ──drawn order──> delivered: finish()
//                        │    ^
//                 -EAGAIN▼    │ socket_changed
//                       waits at its socket
//
//  1. An operation is in exactly one place: `started_`, at its socket, or (with its final result)
//     among `done_`. Only a multishot operation has results in `done_` and waits, too.
//  2. Completions of one operation are delivered in order; those of different ones in any.
//  3. A cancelled operation that has no final result gets -ECANCELED. What it completed before is
//     delivered first.
//  4. An operation refers to the open file, not to the number: closing the number under it leaves
//     the socket open until the operation has ended, as a kernel does.
#pragma once

#include <ouro/runtime/engine/reactor.hpp>
#include <ouro/runtime/sim/buffers.hpp>
#include <ouro/runtime/sim/socket.hpp>
#include <ouro/runtime/sim/world.hpp>

#include <semaphore.h>

#include <deque>
#include <map>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ouro::sim {

/// Performs operations in a world of its own.
///
/// Its descriptors are numbers far above real ones, and none is used twice. Operations on real
/// descriptors (files) are done by system call as soon as they are submitted; those that would have
/// to wait for a real descriptor end with std::errc::operation_not_supported.
class reactor final : public ouro::reactor {
public:
    explicit reactor(std::uint64_t seed, const reactor_options& options = {});
    ~reactor() override;

    world& home() noexcept { return world_; }

    /// True when operations can go on or complete at this moment of the world's clock.
    bool has_work() const noexcept { return !started_.empty() || !done_.empty(); }

    /// Descriptors that are open.
    std::size_t open() const noexcept { return files_.size(); }
    /// How often a number was closed that was not open.
    std::size_t bad_closes() const noexcept { return bad_closes_; }

    /// What a descriptor refers to; null for one that is not simulated.
    socket* socket_of(int fd) const noexcept;
    link* way_of(int fd) const noexcept;

    std::string_view name() const noexcept override { return "sim"; }
    bool submit(op& operation) noexcept override;
    void cancel(op& operation) noexcept override;
    void turn(std::int64_t until) noexcept override;
    void wake() noexcept override;
    std::int64_t now() const noexcept override { return world_.now(); }
    bool world_may_act() const noexcept override;
    buffer_pool& buffers() override;
    buffer_pool& own_buffers() override;

    int open_socket(int domain, int type, int protocol) noexcept override;
    int socket_pair(int domain, int type, int (&ends)[2]) noexcept override;
    int bind(int fd, const sockaddr* address, socklen_t length) noexcept override;
    int listen(int fd, int backlog) noexcept override;
    int local_name(int fd, sockaddr* address, socklen_t* length) noexcept override;
    int peer_name(int fd, sockaddr* address, socklen_t* length) noexcept override;
    int set_option(int fd, int level, int name, const void* value, socklen_t n) noexcept override;
    int get_option(int fd, int level, int name, void* value, socklen_t* n) noexcept override;
    int shutdown(int fd, int how) noexcept override;
    int receive_messages(int fd, mmsghdr* messages, unsigned count) noexcept override;
    int send_messages(int fd, mmsghdr* messages, unsigned count) noexcept override;
    int close(int fd) noexcept override;
    void forget(int) noexcept override {}
    bool flush() noexcept override;

private:
    class pending;

    static constexpr int first_number = 1'000'000'000;

    struct completion {
        op* operation;
        std::int32_t result;
        std::uint32_t flags;
    };

    /// What an attempt came to; -EAGAIN: nothing yet.
    struct outcome {
        std::int32_t result;
        std::uint32_t flags = 0;
    };

    void attempt(pending& which);
    outcome perform(pending& which);
    outcome perform_on_real(pending& which);
    outcome accept(pending& which);
    outcome connect(pending& which);
    outcome poll(pending& which);
    outcome receive(pending& which);
    outcome receive_picked(pending& which);
    outcome receive_message(pending& which);
    outcome send(pending& which);
    outcome send_message(pending& which);
    int move(pending& which, message& what, act kind);

    void advance_attempts();
    void complete(op& operation, std::int32_t result, std::uint32_t flags);
    void end(pending& which, std::int32_t result, std::uint32_t flags);
    bool deliver() noexcept;
    bool take_wake() noexcept;
    void wait_for_others() noexcept;

    int add(std::shared_ptr<open_file> file);
    std::shared_ptr<open_file> file_of(int fd) const noexcept;
    void fill_header(const socket& by, message& received, msghdr& into);
    int read_header(const msghdr& header, message& into) const;
    int collect_files(const msghdr& from, message& into) const;
    void hand_out_files(message& from, msghdr& into);

    world world_;
    reactor_options options_;
    std::unique_ptr<sim::buffers> buffers_;
    std::unique_ptr<buffer_pool> own_buffers_;
    std::map<int, std::shared_ptr<open_file>> files_;
    std::unordered_map<const op*, std::unique_ptr<pending>> pending_;  // looked up, never walked
    intrusive_list<pending, pending> started_;
    std::deque<completion> done_;
    int next_number_;
    std::size_t bad_closes_ = 0;
    sem_t wakes_;  // posted by other threads and signal handlers
};

}  // namespace ouro::sim

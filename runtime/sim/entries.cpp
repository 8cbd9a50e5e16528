// How the simulated ring reads a submission entry: for each kind of operation the attempt that a
// kernel would make.
#include <ouro/runtime/sim/pending.hpp>

#include <liburing.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace ouro::sim {
namespace {

// A multishot operation may end after any completion; a kernel does so when it likes.
constexpr std::uint64_t shots_between_ends = 16;
constexpr std::size_t vectors_max = 1024;

template <class T>
T* pointer(std::uint64_t address) noexcept {
    return reinterpret_cast<T*>(static_cast<std::uintptr_t>(address));
}

bool is_multishot(const io_uring_sqe& entry) noexcept {
    if (entry.opcode == IORING_OP_ACCEPT) return entry.ioprio & IORING_ACCEPT_MULTISHOT;
    if (entry.opcode == IORING_OP_RECV) return entry.ioprio & IORING_RECV_MULTISHOT;
    return false;
}

/// The one vector of an entry that carries address and length itself.
iovec vector_of(const io_uring_sqe& entry) noexcept {
    return {pointer<void>(entry.addr), entry.len};
}

/// The vectors without their first `skipped` bytes.
std::vector<iovec> rest_of(std::span<const iovec> vectors, std::size_t skipped) {
    std::vector<iovec> rest;
    for (const iovec& each : vectors) {
        const std::size_t gone = std::min(skipped, each.iov_len);
        skipped -= gone;
        rest.push_back({static_cast<std::byte*>(each.iov_base) + gone, each.iov_len - gone});
    }
    return rest;
}

}  // namespace

reactor::pending::pending(op& what, reactor& by)
    : operation(what), entry(std::make_unique<io_uring_sqe>()), by_(by) {
    operation.prepare(*entry);
    file = by.file_of(entry->fd);
}

reactor::pending::~pending() = default;

std::uint8_t reactor::pending::kind() const noexcept { return entry->opcode; }

void reactor::attempt(pending& which) {
    for (;;) {
        const outcome came = perform(which);
        if (came.result == -EAGAIN) {
            which.file->what()->await_change(which);
            return;
        }
        const bool goes_on = is_multishot(*which.entry) && came.result >= 0 &&
                             (came.result > 0 || which.entry->opcode == IORING_OP_ACCEPT) &&
                             !world_.chance().one_in(shots_between_ends);
        if (!goes_on) {
            end(which, came.result, came.flags);
            return;
        }
        complete(which.operation, came.result, came.flags | completion_more);
    }
}

reactor::outcome reactor::perform(pending& which) {
    const io_uring_sqe& entry = *which.entry;
    if (!which.file || !which.file->what()) return perform_on_real(which);
    switch (entry.opcode) {
        case IORING_OP_ACCEPT: return accept(which);
        case IORING_OP_CONNECT: return connect(which);
        case IORING_OP_POLL_ADD: return poll(which);
        case IORING_OP_RECV:
        case IORING_OP_READ:
        case IORING_OP_READV: return receive(which);
        case IORING_OP_RECVMSG: return receive_message(which);
        case IORING_OP_SEND:
        case IORING_OP_WRITE:
        case IORING_OP_WRITEV: return send(which);
        case IORING_OP_SENDMSG: return send_message(which);
        case IORING_OP_SHUTDOWN: return {which.file->what()->shutdown(static_cast<int>(entry.len))};
        case IORING_OP_CLOSE: return {close(entry.fd)};
        default: return {-EOPNOTSUPP};
    }
}

reactor::outcome reactor::perform_on_real(pending& which) {
    if (which.entry->opcode == IORING_OP_NOP) return {0};
    if (which.entry->fd >= first_number) return {-EBADF};
    const int result = which.operation.attempt();
    return {result == -EAGAIN ? -EOPNOTSUPP : result};
}

reactor::outcome reactor::accept(pending& which) {
    const io_uring_sqe& entry = *which.entry;
    if (const int failed = world_.failure_of(act::accept)) return {failed};
    if (files_.size() >= world_.descriptors_max()) return {-EMFILE};
    std::shared_ptr<socket> taken;
    if (const int failed = which.file->what()->accept(taken)) return {failed};
    if (auto* address = pointer<sockaddr>(entry.addr)) {
        sim::name peer;
        taken->peer(peer);
        peer.write(taken->domain(), address, pointer<socklen_t>(entry.addr2));
    }
    return {add(std::make_shared<open_file>(std::move(taken)))};
}

reactor::outcome reactor::connect(pending& which) {
    const io_uring_sqe& entry = *which.entry;
    if (const int failed = world_.failure_of(act::connect)) return {failed};
    sim::name to;
    const auto length = static_cast<socklen_t>(entry.off);
    const int read = name::read(pointer<const sockaddr>(entry.addr), length, to);
    return {read < 0 ? read : which.file->what()->connect(to)};
}

reactor::outcome reactor::poll(pending& which) {
    const auto wanted = static_cast<int>(which.entry->poll32_events) | POLLERR | POLLHUP;
    const int now = which.file->what()->ready() & wanted;
    return {now ? now : -EAGAIN};
}

/// Moves bytes in one direction, and again until all have moved when the caller wants all.
int reactor::move(pending& which, message& what, act kind) {
    socket& with = *which.file->what();
    if (const int failed = world_.failure_of(kind)) return failed;
    const auto step = kind == act::send ? &socket::send : &socket::receive;
    if (!(what.flags & MSG_WAITALL) || with.type() != SOCK_STREAM) return (with.*step)(what);
    const std::span<const iovec> all = what.vectors;
    const std::size_t wanted = what.size();
    while (which.moved < wanted) {
        const std::vector<iovec> rest = rest_of(all, which.moved);
        what.vectors = rest;
        const int moved = (with.*step)(what);
        what.vectors = all;
        if (moved == -EAGAIN) return moved;
        if (moved <= 0) return which.moved > 0 ? static_cast<int>(which.moved) : moved;
        which.moved += static_cast<std::size_t>(moved);
    }
    return static_cast<int>(wanted);
}

reactor::outcome reactor::receive(pending& which) {
    const io_uring_sqe& entry = *which.entry;
    if (entry.flags & IOSQE_BUFFER_SELECT) return receive_picked(which);
    const iovec one = vector_of(entry);
    message into{.vectors = {&one, 1}};
    if (entry.opcode == IORING_OP_READV)
        into.vectors = {pointer<const iovec>(entry.addr), entry.len};
    if (entry.opcode == IORING_OP_RECV) into.flags = static_cast<int>(entry.msg_flags);
    return {move(which, into, act::receive)};
}

/// Receives into a buffer of the pool, which the completion names.
reactor::outcome reactor::receive_picked(pending& which) {
    buffers();
    const int id = buffers_->pick();
    if (id < 0) return {-ENOBUFS};
    const std::span<std::byte> memory = buffers_->memory(static_cast<std::uint16_t>(id));
    const std::size_t limit = which.entry->len ? which.entry->len : memory.size();
    const iovec one{memory.data(), std::min(limit, memory.size())};
    message into{.vectors = {&one, 1}, .flags = static_cast<int>(which.entry->msg_flags)};
    const int result = move(which, into, act::receive);
    if (result > 0) return {result, completion_has_buffer | static_cast<std::uint32_t>(id) << 16};
    buffers_->unpick(id);
    return {result};
}

reactor::outcome reactor::receive_message(pending& which) {
    msghdr& header = *pointer<msghdr>(which.entry->addr);
    if (header.msg_iovlen > vectors_max) return {-EMSGSIZE};
    message into{.vectors = {header.msg_iov, header.msg_iovlen},
                 .flags = static_cast<int>(which.entry->msg_flags)};
    const int result = move(which, into, act::receive);
    if (result >= 0) fill_header(*which.file->what(), into, header);
    return {result};
}

/// Tells the caller of a received message what came besides the bytes.
void reactor::fill_header(const socket& by, message& received, msghdr& into) {
    if (into.msg_name && !received.address.is_none()) {
        auto* address = static_cast<sockaddr*>(into.msg_name);
        received.address.write(by.domain(), address, &into.msg_namelen);
    } else {
        into.msg_namelen = 0;
    }
    into.msg_flags = received.out_flags;
    hand_out_files(received, into);
}

int reactor::receive_messages(int fd, mmsghdr* messages, unsigned count) noexcept {
    const std::shared_ptr<open_file> file = file_of(fd);
    if (!file) return -EBADF;
    for (unsigned done = 0; done < count; ++done) {
        msghdr& header = messages[done].msg_hdr;
        message into{.vectors = {header.msg_iov, header.msg_iovlen}};
        const int result = file->what()->receive(into);
        if (result < 0) return done > 0 ? static_cast<int>(done) : result;
        fill_header(*file->what(), into, header);
        messages[done].msg_len = static_cast<unsigned>(result);
    }
    return static_cast<int>(count);
}

int reactor::send_messages(int fd, mmsghdr* messages, unsigned count) noexcept {
    const std::shared_ptr<open_file> file = file_of(fd);
    if (!file) return -EBADF;
    for (unsigned done = 0; done < count; ++done) {
        message from;
        int result = read_header(messages[done].msg_hdr, from);
        if (result == 0) result = file->what()->send(from);
        if (result < 0) return done > 0 ? static_cast<int>(done) : result;
        messages[done].msg_len = static_cast<unsigned>(result);
    }
    return static_cast<int>(count);
}

reactor::outcome reactor::send(pending& which) {
    const io_uring_sqe& entry = *which.entry;
    const iovec one = vector_of(entry);
    message from{.vectors = {&one, 1}};
    if (entry.opcode == IORING_OP_WRITEV)
        from.vectors = {pointer<const iovec>(entry.addr), entry.len};
    if (entry.opcode == IORING_OP_SEND) from.flags = static_cast<int>(entry.msg_flags);
    return {move(which, from, act::send)};
}

reactor::outcome reactor::send_message(pending& which) {
    message from{.flags = static_cast<int>(which.entry->msg_flags)};
    const int failed = read_header(*pointer<const msghdr>(which.entry->addr), from);
    if (failed) return {failed};
    if (which.moved > 0) from.files.clear();  // they went with the first part
    return {move(which, from, act::send)};
}

/// Reads what a message to be sent consists of. 0 or -errno.
int reactor::read_header(const msghdr& header, message& into) const {
    if (header.msg_iovlen > vectors_max) return -EMSGSIZE;
    into.vectors = {header.msg_iov, header.msg_iovlen};
    if (header.msg_name) {
        const auto* address = static_cast<const sockaddr*>(header.msg_name);
        const int read = name::read(address, header.msg_namelen, into.address);
        if (read < 0) return read;
    }
    return collect_files(header, into);
}

// --- Descriptors in messages ------------------------------------------------------------------

/// Takes copies of the descriptors that are to be passed.
int reactor::collect_files(const msghdr& from, message& into) const {
    for (cmsghdr* each = CMSG_FIRSTHDR(&from); each;
         each = CMSG_NXTHDR(const_cast<msghdr*>(&from), each)) {
        if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (each->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int number;
            std::memcpy(&number, CMSG_DATA(each) + i * sizeof number, sizeof number);
            auto file = file_of(number);
            if (!file) {
                const int copy = ::fcntl(number, F_DUPFD_CLOEXEC, 0);
                if (copy < 0) return -EBADF;
                file = std::make_shared<open_file>(copy);
            }
            into.files.push_back(std::move(file));
        }
    }
    return 0;
}

/// Gives numbers to the descriptors that came with a message, as far as there is room for them.
void reactor::hand_out_files(message& from, msghdr& into) {
    const std::size_t room = into.msg_control && into.msg_controllen >= CMSG_LEN(sizeof(int))
                                 ? (into.msg_controllen - CMSG_LEN(0)) / sizeof(int)
                                 : 0;
    std::vector<int> numbers;
    for (const auto& each : from.files) {
        if (numbers.size() == room || files_.size() >= world_.descriptors_max()) {
            into.msg_flags |= MSG_CTRUNC;
            break;
        }
        const int real = each->release_real();
        numbers.push_back(real >= 0 ? real : add(each));
    }
    from.files.clear();
    if (numbers.empty()) {
        into.msg_controllen = 0;
        return;
    }
    cmsghdr& rights = *static_cast<cmsghdr*>(into.msg_control);
    rights.cmsg_level = SOL_SOCKET;
    rights.cmsg_type = SCM_RIGHTS;
    rights.cmsg_len = CMSG_LEN(numbers.size() * sizeof(int));
    std::memcpy(CMSG_DATA(&rights), numbers.data(), numbers.size() * sizeof(int));
    into.msg_controllen =
        std::min<std::size_t>(CMSG_SPACE(numbers.size() * sizeof(int)), into.msg_controllen);
}

}  // namespace ouro::sim

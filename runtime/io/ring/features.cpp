#include <ouro/runtime/io/ring/features.hpp>

#include <liburing.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>

namespace ouro {
namespace {

struct rung {
    unsigned flags;
    const char* name;
};

constexpr unsigned completion_queue_factor = 4;

// From the best to the plainest; a kernel refuses what it does not know with EINVAL.
constexpr rung ladder[] = {
    {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL |
         IORING_SETUP_TASKRUN_FLAG,
     "DEFER_TASKRUN"},
    {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
     "COOP_TASKRUN"},
    {0, "no set-up flags"},
};
constexpr rung kernel_thread = {IORING_SETUP_SQPOLL, "SQPOLL"};

// Waits with a time limit (5.11), completions that are never dropped (5.5), multishot polls, which
// have no flag of their own and came with resource tags (5.13).
constexpr unsigned needed_features =
    IORING_FEAT_EXT_ARG | IORING_FEAT_NODROP | IORING_FEAT_RSRC_TAGS;

// Rings of provided buffers and multishot accept (5.19) are tried when first used.
constexpr int needed_operations[] = {
    IORING_OP_ACCEPT,  IORING_OP_CONNECT,      IORING_OP_RECV,  IORING_OP_SEND,
    IORING_OP_SENDMSG, IORING_OP_RECVMSG,      IORING_OP_READ,  IORING_OP_WRITE,
    IORING_OP_OPENAT,  IORING_OP_FSYNC,        IORING_OP_CLOSE, IORING_OP_POLL_ADD,
    IORING_OP_STATX,   IORING_OP_ASYNC_CANCEL,
};

std::span<const rung> rungs_for(const reactor_options& options) noexcept {
    if (options.busy_poll_kernel) return {&kernel_thread, 1};
    return options.plain_ring ? std::span(ladder).last(1) : std::span(ladder);
}

bool knows_operations(io_uring& ring) {
    io_uring_probe* probe = io_uring_get_probe_ring(&ring);
    if (!probe) return false;
    const bool all = std::ranges::all_of(needed_operations, [&](int operation) {
        return io_uring_opcode_supported(probe, operation) != 0;
    });
    io_uring_free_probe(probe);
    return all;
}

int open_with(io_uring& ring, unsigned flags, const reactor_options& options) {
    io_uring_params params{};
    params.flags = flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
    params.cq_entries = options.completion_entries ? options.completion_entries
                                                   : options.entries * completion_queue_factor;
    const unsigned entries = std::min(options.entries, params.cq_entries);
    return io_uring_queue_init_params(entries, &ring, &params);
}

}  // namespace

bool open_ring(io_uring& ring, const reactor_options& options, std::string& says) {
    int refusal = -EINVAL;
    for (const rung& step : rungs_for(options)) {
        refusal = open_with(ring, step.flags, options);
        if (refusal == -EINVAL) continue;
        if (refusal < 0) break;
        if ((ring.features & needed_features) == needed_features && knows_operations(ring)) {
            says = step.name;
            return true;
        }
        io_uring_queue_exit(&ring);
        says = "this kernel's io_uring is too old";
        return false;
    }
    says = std::string("io_uring_setup: ") + std::strerror(-refusal);
    return false;
}

}  // namespace ouro

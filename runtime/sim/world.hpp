// world.hpp: a simulated world: its clock, its chance, its network, and what goes wrong in it.
#pragma once

#include <ouro/runtime/clock.hpp>
#include <ouro/runtime/sim/names.hpp>
#include <ouro/runtime/sim/seed.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>

namespace ouro::sim {

class link;
class reactor;

/// Something that happens in the world at a given moment.
class event {
public:
    virtual ~event() = default;
    virtual void happen() = 0;
};

/// How a way through the network treats what is sent on it.
struct conditions {
    duration delay_min{};  ///< each thing sent takes at least this long
    duration delay_max{};  ///< and at most this long; what is less counts as delay_min
    std::uint64_t bytes_per_second = 0;  ///< of streams, in each direction; 0: as fast as you like
    unsigned losses_per_thousand = 0;    ///< of datagrams
};

/// How much of what could be moved one receive or send moves.
enum class splitting : std::uint8_t {
    drawn,        ///< often all of it, sometimes less, sometimes one byte
    whole,        ///< always all of it
    single_bytes  ///< one byte at a time
};

/// Acts of the world that can be made to fail.
enum class act : std::uint8_t { open, bind, listen, accept, connect, receive, send };

/// What the kinds of entries in the trace are called.
enum class happening : std::uint8_t {
    chosen,
    resumed,
    started,
    tried,
    completed,
    cancelled,
    planned
};

/// One simulated world.
///
/// Everything that chance decides is drawn from its seed, and everything that happens is mixed into
/// its trace, so one seed is one story. Time stands still while anything can be done without it.
///
/// There is one host in it. Its addresses are the loopback ones; whoever connects to another one
/// gets no answer (std::errc::timed_out after 127 s). Unix names live in the world, not in the
/// file system, and are free again when their socket is closed.
class world {
public:
    explicit world(std::uint64_t seed) noexcept : seed_(seed), chance_(seed) {}
    world(const world&) = delete;
    world& operator=(const world&) = delete;

    /// The world of the calling worker; asserts that its reactor is a simulated one.
    static world& current() noexcept;
    /// Null on a real reactor and outside workers.
    static world* current_or_null() noexcept;

    std::uint64_t seed() const noexcept { return seed_; }
    dice& chance() noexcept { return chance_; }

    /// A hash of everything that has happened; equal for equal seeds and programs.
    std::uint64_t trace_hash() const noexcept { return trace_.hash(); }
    /// How many numbers it is made of.
    std::uint64_t trace_size() const noexcept { return trace_.size(); }

    /// Mixes something that happened into the trace. Numbers only: no addresses, no real time.
    void note(happening what, std::uint64_t a = 0, std::uint64_t b = 0) noexcept;

    // What chance may do. On at first.

    /// Draws the order in which ready tasks run and completions arrive; false: first come, first
    /// served.
    void shuffle(bool on) noexcept { shuffle_ = on; }
    bool shuffles() const noexcept { return shuffle_; }

    void split_by(splitting how) noexcept { splitting_ = how; }
    /// How many of `n` bytes that could be moved are; at least one of them.
    std::size_t split(std::size_t n) noexcept;

    // The network. Descriptors are those of this worker.

    /// The conditions of connections made from now on, and of all datagrams between internet
    /// addresses. Unix sockets are always quick.
    void set_conditions(const conditions& how) noexcept { conditions_ = how; }
    /// The conditions of one connection from now on, in both directions.
    void set_conditions(int fd, const conditions& how);

    /// Silences a connection in both directions: what is sent is on its way until the repair.
    void cut(int fd);
    void repair(int fd);
    /// Silences every connection made to this port from now on: attempts to connect hang, and
    /// datagrams sent to it are lost.
    void cut_port(std::uint16_t port) { cut_ports_.insert(port); }
    /// Connections made from now on work; those that were cut stay so.
    void repair_port(std::uint16_t port) { cut_ports_.erase(port); }

    /// Breaks a connection: both sides see it reset.
    void reset(int fd);

    /// The next `times` times that somebody tries this, it ends with the error `-number`.
    void fail_next(act what, int number, unsigned times = 1) noexcept;
    /// The error of an act that is to fail now, as -errno; 0: it is not.
    int failure_of(act what) noexcept;

    /// How many descriptors may be open; opening and accepting more fails with EMFILE.
    void set_descriptors_max(std::size_t n) noexcept { descriptors_max_ = n; }
    std::size_t descriptors_max() const noexcept { return descriptors_max_; }

    // Its time.

    /// Nanoseconds since the world's epoch; it begins at `beginning`.
    std::int64_t now() const noexcept { return now_; }
    static constexpr std::int64_t beginning = 1'000'000'000'000;

    /// True when something can still happen at this moment of its clock.
    bool busy() const noexcept;

    using plan_id = std::pair<std::int64_t, std::uint64_t>;

    /// Has `what` happen at `when`, or at once if that is past; after what was planned before for
    /// the same moment.
    plan_id plan(std::int64_t when, std::unique_ptr<event> what);
    /// Takes back a plan that has not happened.
    void forget_plan(plan_id which) { agenda_.erase(which); }

    /// When the next event happens; INT64_MAX when none is planned.
    std::int64_t next_event() const noexcept;

    /// Moves the clock to `when`, which is not past, and lets happen what was planned until then.
    void advance(std::int64_t when);

    // What sockets ask.

    name_table& names() noexcept { return names_; }
    std::int64_t draw_delay(const conditions& how) noexcept;
    std::shared_ptr<link> make_link(const name& to);
    void send_datagram(const name& to, std::unique_ptr<event> arrival);

private:
    friend class reactor;

    struct failure {
        int error = 0;
        unsigned times = 0;
    };

    std::uint64_t seed_;
    dice chance_;
    trace trace_;
    std::int64_t now_ = beginning;
    std::uint64_t planned_ = 0;
    std::map<plan_id, std::unique_ptr<event>> agenda_;
    name_table names_;
    conditions conditions_;
    std::set<std::uint16_t> cut_ports_;
    std::array<failure, 7> failures_{};
    std::size_t descriptors_max_ = ~std::size_t{0};
    reactor* reactor_ = nullptr;
    splitting splitting_ = splitting::drawn;
    bool shuffle_ = true;
};

}  // namespace ouro::sim

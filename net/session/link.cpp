#include <ouro/net/session/link.hpp>

#include <ouro/net/session/thrown.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/engine/executor.hpp>

#include <algorithm>
#include <new>
#include <utility>

namespace ouro::net {
namespace {

/// Nothing when there is no memory for it.
std::optional<writer> make_writer(stream& connection) noexcept {
    try {
        // The batch in hand and a request of any size: the limit is the protocol's, not ours.
        return std::optional<writer>(std::in_place, connection,
                                     writer_options{.pending_bytes_max = std::size_t{1} << 31});
    } catch (const std::bad_alloc&) {
        return std::nullopt;
    }
}

}  // namespace

/// A connection from its beginning to its end, which comes when this dies.
class link::service {
public:
    service(link& of, stream& connection, std::optional<writer>& out) noexcept
        : of_(of), out_(out) {
        of.out_ = &*out;
        of.connection_ = &connection;
        of.left_ = 0;
        of.in_the_middle_ = false;
        of.given_up_ = of.retiring_ = {};
        of.reading_.set();
        of.begun();
    }
    service(const service&) = delete;
    ~service() {
        OURO_ASSERT(of_.out_ == &*out_);
        of_.out_ = nullptr;
        of_.connection_ = nullptr;
        // The end may be seen before the completion of a send that the peer has already received.
        const std::uint64_t sent = out_->offered_bytes();
        out_.reset();
        of_.ended(why, sent);
        if (!of_.watching()) of_.watch();
    }

    std::error_code why = errc::closed;

private:
    link& of_;
    std::optional<writer>& out_;
};

link::~link() {
    OURO_ASSERT(!connected() && "link: destroyed while it is served");
    if (armed()) executor::current().timers().disarm(*this);
}

task<std::error_code> link::serve(stream& connection, reader& in) {
    OURO_ASSERT(!connected() && "link: it serves one connection at a time");
    std::optional<writer> out = make_writer(connection);
    if (!out) co_return make_error_code(std::errc::not_enough_memory);
    std::error_code why;
    {
        service now(*this, connection, out);
        for (;;) {
            const auto taken = guarded([&] { return take(in.ready()); });
            if (!taken) {
                why = taken.error();
                break;
            }
            OURO_ASSERT(*taken <= in.ready().size() && "link: take() took more than there was");
            in.consume(*taken);
            in_the_middle_ = !in.ready().empty();
            if (!reading() && !given_up_) {
                const result<void> waited = co_await as_result(reading_.wait());
                if (waited) continue;
                why = waited.error();
                break;
            }
            const result<std::size_t> got = co_await as_result(in.read_some());
            if (!got) {
                why = got.error();
                break;
            }
            if (*got == 0) {
                why = errc::end_of_stream;
                if (given_up_ || !outlives_peer()) break;
                pause_reading();
            }
            heard_ = clock::now();
        }
        if (given_up_) why = given_up_;
        now.why = why;
    }
    co_return why;
}

bool link::feeder::fill() noexcept {
    OURO_ASSERT(of_.connected() && "link: asked for more by a writer that is gone");
    if (of_.given_up_ || of_.retiring_) return false;
    const result<bool> more = guarded([this]() -> result<bool> { return of_.fill(of_.out()); });
    if (!more) of_.give_up(more.error());
    return more.value_or(false);
}

void link::give_up(std::error_code why) noexcept {
    OURO_ASSERT(why);
    if (!connection_ || given_up_) return;
    given_up_ = why;
    reading_.set();
    static_cast<void>(connection_->shutdown(half::both));  // whoever reads wakes up
}

void link::retire(std::error_code why) noexcept {
    OURO_ASSERT(why);
    if (!connection_ || retiring_) return;
    retiring_ = why;
    rest();
}

// Time.

bool link::is_silent(time_point now) noexcept {
    if (!connected()) return false;
    const std::uint64_t left = out_->sent_bytes();
    OURO_ASSERT(left >= left_);
    const debt is = owed(left);
    if (is.is_leaving && left > left_) heard_ = now;
    left_ = left;
    return heard_ + is.silence_max <= now;
}

void link::watch() noexcept {
    time_point next = next_due();
    if (connected() && !given_up_)
        next = std::min(next, heard_ + owed(out_->sent_bytes()).silence_max);
    watch_by(next);
}

void link::watch_by(time_point when) noexcept {
    if (when == time_point::max()) return;
    const std::int64_t at = when.time_since_epoch().count();
    timer_wheel& timers = executor::current().timers();
    if (armed()) {
        if (timer::when() <= at) return;
        timers.disarm(*this);
    }
    timers.arm(*this, at);
}

void link::fire() noexcept {
    const time_point now = clock::now();
    const bool silent = is_silent(now);
    if (silent) give_up(errc::timed_out);
    expire(now);
    if (!silent) watch();  // else `ended` tells them, and then it is looked at again
}

}  // namespace ouro::net

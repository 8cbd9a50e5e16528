// pubsub_server: passes lines from publishers to subscribers; see pubsub_protocol.hpp.
//
//   pubsub_server --listen 127.0.0.1:8080 [--reactor auto|uring|epoll] [--workers N]
//                 [--slow-subscriber block|drop|disconnect] [--report 5s]
//                 [--backplane redis://127.0.0.1:6379] [--connections 100000] [--drain 0s]
//                 [--keep-alive 10s] [--user-timeout 25s]
//                 [--tls --cert cert.pem --key key.pem [--client-ca ca.pem]]
//
// All messages that arrive in one turn of the loop leave in one send per subscriber. Servers with
// the same backplane share their channels: who subscribes at one hears who publishes at another.
//
// A peer that vanishes without a word is noticed: after --keep-alive of silence it is asked, and
// when nothing was heard of it, or it took nothing of what was sent to it, for --user-timeout, its
// connection ends. So that is also how long a stuck subscriber can hold its publishers back; 0
// leaves either to the system.
//
// With --tls everybody speaks TLS here, and nothing else is different; with --client-ca they show
// certificates of that authority. SIGHUP reads these files again, for connections made later.

#include "arguments.hpp"
#include "pubsub_backplane.hpp"
#include "pubsub_channel.hpp"
#include "pubsub_protocol.hpp"
#include <ouro/kv/redis/url.hpp>
#include <ouro/net/bytes/block_reader.hpp>
#include <ouro/net/bytes/writer.hpp>
#include <ouro/net/server.hpp>
#include <ouro/net/tls/handler.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/blocking.hpp>
#include <ouro/runtime/combine.hpp>
#include <ouro/runtime/remote.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/signals.hpp>
#include <ouro/runtime/sync/event.hpp>
#include <ouro/runtime/time/interval.hpp>
#include <ouro/runtime/timeout.hpp>

#include <fmt/format.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <string>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

constexpr duration greeting_time_max = 30s;
constexpr duration goodbye_time_max = 2s;
constexpr std::size_t goodbye_bytes_max = 1 << 20;

struct settings {
    net::endpoint listen;
    net::server_options serve;
    pubsub::slow_policy slow = pubsub::slow_policy::block;
    duration report{};                                  // 0: only at the end
    std::string backplane;                              // URL; empty: none
    std::shared_ptr<net::tls::server_context> secrets;  // null: clear
};

/// What one worker does.
class worker {
public:
    worker(pubsub::exchange& all, const settings& how)
        : how_(how), hub_(all, this_worker(), how.slow) {}

    /// Serves until the server stops. Being cancelled counts once it serves: the server is then
    /// stopped from outside, and what works for its connections goes on until they have ended.
    task<> run(net::server& front) {
        if (!how_.backplane.empty())
            backplane_ = co_await pubsub::backplane::connect(how_.backplane, hub_);
        if (hub_.worker() == 0) {
            fmt::print("listening on {} ({})\n", front.local().to_string(), reactor_choice());
            std::fflush(stdout);
        }
        auto body = [&](scope& tasks) -> task<> {
            if (backplane_) {
                tasks.spawn(backplane_->deliver());
                tasks.spawn(backplane_->tidy());
            } else {
                tasks.spawn(hub_.deliver());
            }
            if (how_.report > duration::zero()) tasks.spawn(report_regularly());
            const auto converse_with = [this](net::stream client) {
                return converse(std::move(client));
            };
            if (how_.secrets) {
                net::tls_handler secured(*how_.secrets, converse_with);
                co_await front.serve_here(std::move(secured));
            } else {
                co_await front.serve_here(converse_with);
            }
            tasks.cancel();
        };
        const auto ended = co_await as_result(shield(with_scope(body)));
        print_report();
        ended.value();
    }

private:
    /// A connection from its greeting to its end.
    task<> converse(net::stream client) {
        net::block_reader in(client, {.bytes_max = pubsub::line_bytes_max});
        net::writer out(client);
        const auto hello = co_await as_result(timeout(greeting_time_max, in.read_line()));
        std::string why;
        if (hello && !hello->empty()) {
            const auto greeting = pubsub::read_greeting(hello->text());
            why = greeting.why;
            if (greeting.what == pubsub::verb::publish)
                why = co_await publish(client, in, out, std::string(greeting.channel));
            else if (greeting.what == pubsub::verb::subscribe)
                why = co_await subscribe(in, out, std::string(greeting.channel));
        } else if (!hello) {
            why = reason_of(hello.error());
        }
        if (!why.empty()) {
            ++refused_[why];
            say(out, "ERROR " + why + "\r\n");
        }
        // A peer that does not take its last words is not waited for long.
        const auto parted = co_await as_result(timeout(goodbye_time_max, part(client, out)));
        if (!parted) co_return;
    }

    /// Sends the last words and reads on until the peer has closed, too: to close while something
    /// from it is unread would be a reset, which takes our last words away from it.
    static task<> part(net::stream& client, net::writer& out) {
        co_await out.close();
        if (!client.shutdown(net::half::send)) co_return;
        std::array<std::byte, 4096> ignored;
        for (std::size_t sum = 0; sum < goodbye_bytes_max;) {
            const std::size_t got = co_await client.recv(ignored);
            if (got == 0) co_return;
            sum += got;
        }
    }

    /// What a writer refuses it has no more use for: its connection is about to end.
    static void say(net::writer& out, std::string_view text) {
        if (!out.write(text)) return;
    }

    /// Takes messages until BYE or the end; returns what the publisher did wrong.
    task<std::string> publish(net::stream& client, net::block_reader& in, net::writer& out,
                              std::string name) {
        const auto channel = hub_.open(name);
        pubsub::publisher from(client);
        say(out, "OK\r\n");
        for (;;) {
            const auto found = pubsub::read_messages(in.ready_text());
            if (found.bytes > 0) {
                net::chunk batch = in.take(found.bytes);
                std::string why = co_await pass_on(*channel, std::move(batch), found.count, from);
                if (!why.empty()) co_return why;
            }
            if (found.bye) co_return "";
            if (!found.why.empty()) co_return std::string(found.why);
            const auto got = co_await as_result(in.fill());
            if (!got) co_return reason_of(got.error());
            if (*got == 0) co_return in.ready().empty() ? "" : "the last line has no end";
        }
    }

    /// To the subscribers here, or to those everywhere. Returns why that cannot be.
    task<std::string> pass_on(pubsub::channel& to, net::chunk batch, std::size_t count,
                              pubsub::publisher& from) {
        if (!backplane_) {
            co_await hub_.publish(to, std::move(batch), count, from);
            co_return "";
        }
        to.count_in(count);
        co_return co_await backplane_->publish(to.name(), std::move(batch), from);
    }

    /// Sends messages until the subscriber says BYE, goes, or is too slow for the policy.
    task<std::string> subscribe(net::block_reader& in, net::writer& out, std::string name) {
        std::optional<pubsub::backplane::interest> interest;
        if (backplane_) {
            auto heard = co_await as_result(backplane_->hear(name));
            if (!heard) co_return "the backplane cannot be had: " + heard.error().message();
            interest.emplace(std::move(*heard));
        }
        say(out, "OK\r\n");
        pubsub::subscription place(hub_.open(name), out);
        auto ended = co_await any_of(listen_to(in), place.watch());
        if (ended.index() == 1) co_return "you are too slow";
        co_return std::move(*ended.get<0>());
    }

    /// A subscriber has nothing to say but BYE.
    static task<std::string> listen_to(net::block_reader& in) {
        const auto line = co_await as_result(in.read_line());
        if (!line) co_return reason_of(line.error());
        if (line->empty() || line->text() == "BYE\r\n") co_return "";
        co_return "a subscriber does not talk";
    }

    /// Words for an error that the peer is to hear; empty when it has gone.
    static std::string reason_of(std::error_code error) {
        if (error == errc::limit_exceeded) return "a line is longer than 64 KiB";
        if (error == errc::end_of_stream) return "the last line has no end";
        if (error == errc::timed_out) return "no greeting came in time";
        return "";
    }

    task<> report_regularly() {
        interval every(how_.report);
        for (;;) {
            co_await every.tick();
            print_report();
        }
    }

    void print_report() const {
        const auto& io = executor::current().io().stats();
        std::uint64_t out_sum = 0;
        std::string channels;
        for (const auto& [name, figures] : hub_.figures()) {
            out_sum += figures.out;
            channels += fmt::format("  {}: in {} out {}", name.empty() ? "(closed)" : name,
                                    figures.in, figures.out);
            if (figures.dropped > 0) channels += fmt::format(" dropped {}", figures.dropped);
        }
        if (backplane_) {
            const auto figures = backplane_->figures();
            channels += fmt::format(
                "  backplane: out {} in {} gaps {} unsure {} dropped {} foreign {}", figures.out,
                figures.in, figures.gaps, figures.unsure, figures.dropped, figures.foreign);
        }
        for (const auto& [why, times] : refused_)
            channels += fmt::format("  refused {} x \"{}\"", times, why);
        fmt::print(
            "worker {}: out {} submissions {} completions {} system_calls {} "
            "mean_batch {:.1f}{}\n",
            hub_.worker(), out_sum, io.submissions, io.completions, io.system_calls,
            io.completions > 0 ? static_cast<double>(out_sum) / static_cast<double>(io.completions)
                               : 0.0,
            channels);
        std::fflush(stdout);
    }

    settings how_;
    pubsub::hub hub_;
    std::unique_ptr<pubsub::backplane> backplane_;
    std::map<std::string, std::uint64_t> refused_;  // why → how often
};

task<> serve_on_this_worker(pubsub::exchange& all, net::server& front, const settings& how) {
    worker here(all, how);
    try {
        co_await here.run(front);
    } catch (...) {
        front.stop();  // the others would go on without this one
        throw;
    }
}

/// Waits to be cancelled, as a signal does, and then ends the server in good order.
task<> stop_when_asked(net::server& front) {
    event never;
    const auto asked = co_await as_result(never.wait());
    front.stop();
    asked.value();
}

/// SIGHUP reads certificate and key again. While something is wrong with them all goes on as it
/// was.
task<> reload_when_asked(net::tls::server_context& secrets) {
    signal_set hups(SIGHUP);
    for (;;) {
        co_await hups.next();
        const auto reload = [&secrets] { secrets.reload(); };
        const auto done = co_await as_result(blocking(reload));
        if (done.error() == errc::cancelled) throw_error(errc::cancelled);
        fmt::print("certificate {}\n", done ? "read again" : "not changed: " + done.error_text());
        std::fflush(stdout);
    }
}

task<> listen_to_signals(net::server& front, net::tls::server_context* secrets) {
    if (secrets)
        co_await all_of(stop_when_asked(front), reload_when_asked(*secrets));
    else
        co_await stop_when_asked(front);
}

void print_handshakes(const net::tls::stats& seen) {
    fmt::print("handshakes: full {} resumed {} failed {}", seen.full, seen.resumed, seen.failed);
    for (std::size_t reason = 1; reason < seen.reasons; ++reason) {
        const auto code = static_cast<net::tls::errc>(reason);
        if (seen.failed_for(code) > 0)
            fmt::print("  {} x \"{}\"", seen.failed_for(code), make_error_code(code).message());
    }
    fmt::print("\n");
}

task<> serve_everywhere(settings how) {
    pubsub::exchange all(worker_count());
    net::server front(how.listen, how.serve);
    const auto serve = [&] { return serve_on_this_worker(all, front, how); };
    const auto ended = co_await as_result(
        all_of(on_each_worker(serve), listen_to_signals(front, how.secrets.get())));
    if (how.secrets) print_handshakes(how.secrets->stats());
    const net::server_stats seen = front.stats();
    fmt::print("connections: accepted {} broken {} failed {} cancelled {} full {}\n", seen.accepted,
               seen.broken, seen.failed, seen.cancelled, seen.full);
    std::fflush(stdout);
    ended.value();
}

/// How connections find out that their peer has vanished.
net::server_options serving(const examples::arguments& given) {
    constexpr int probes = 3;
    net::server_options how;
    how.connections_max =
        static_cast<std::size_t>(given.number("connections", 100'000, 1, 10'000'000));
    how.drain = given.time("drain", 0s);
    const duration idle = given.time("keep-alive", 10s);
    net::stream_options& accepted = how.listen.accepted;
    accepted.keep_alive.reset();
    if (idle > 0s) accepted.keep_alive = net::keep_alive{idle, idle / 2, probes};
    accepted.user_timeout = given.time("user-timeout", 25s);
    return how;
}

/// Null: nobody speaks TLS. Throws what is wrong with a file.
std::shared_ptr<net::tls::server_context> secrets_of(const examples::arguments& given) {
    const std::string key = given.text("key", "");
    const std::string authority = given.text("client-ca", "");
    if (!given.has("tls") && !given.has("cert")) {
        if (!key.empty() || !authority.empty())
            examples::wrong_usage("--key and --client-ca are for --tls");
        return nullptr;
    }
    if (!given.has("cert")) examples::wrong_usage("--tls needs --cert FILE and --key FILE");
    net::tls::server_options options;
    options.identities.resize(1);
    options.identities.front().certificate_file = given.text("cert", "");
    options.identities.front().key_file = key;
    options.client_ca_file = authority;
    if (!authority.empty()) options.client_certificates = net::tls::client_certificates::required;
    return std::make_shared<net::tls::server_context>(options);
}

}  // namespace

int main(int argc, char** argv) try {
    const examples::arguments given(
        argc, argv,
        {"listen", "reactor", "workers", "slow-subscriber", "report", "backplane", "connections",
         "drain", "keep-alive", "user-timeout", "cert", "key", "client-ca"},
        {"tls"});
    const std::string where = given.text("listen", "127.0.0.1:8080");
    const auto address = net::endpoint::parse(where);
    if (!address)
        examples::wrong_usage("--listen needs an address such as 127.0.0.1:8080, not '" + where +
                              "'");
    const std::string slow =
        given.choice("slow-subscriber", "block", {"block", "drop", "disconnect"});
    const std::string reactor = given.choice("reactor", "auto", {"auto", "uring", "epoll"});

    const std::string backplane = given.text("backplane", "");
    std::string wrong;
    if (given.has("backplane") && !redis::url::parse(backplane, wrong))
        examples::wrong_usage("--backplane needs a URL such as redis://127.0.0.1:6379: " + wrong);

    settings how{.listen = *address,
                 .serve = serving(given),
                 .report = given.time("report", 0s),
                 .backplane = backplane,
                 .secrets = secrets_of(given)};
    if (slow == "drop") how.slow = pubsub::slow_policy::drop;
    if (slow == "disconnect") how.slow = pubsub::slow_policy::disconnect;
    runtime_options options;
    options.workers = static_cast<unsigned>(given.number("workers", 1, 1, 256));
    if (reactor != "auto")
        options.reactor.kind = reactor == "uring" ? reactor_kind::uring : reactor_kind::epoll;
    return run(serve_everywhere(how), options);
} catch (const std::exception& problem) {
    std::fprintf(stderr, "%s\n", problem.what());  // which file, and what is wrong with it
    return 1;
}

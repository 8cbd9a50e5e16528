// chat: everybody hears what anybody says. Try it with `nc 127.0.0.1 7777`.

#include "arguments.hpp"
#include <ouro/net/bytes/reader.hpp>
#include <ouro/net/bytes/writer.hpp>
#include <ouro/net/listener.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/scope.hpp>

#include <cstdio>
#include <set>
#include <string>

using namespace ouro;

namespace {

constexpr std::size_t line_bytes_max = 1000;

/// Who is in the room. One worker, so nothing here needs a lock.
class room {
public:
    void enter(net::writer& who) { all_.insert(&who); }
    void leave(net::writer& who) { all_.erase(&who); }

    /// Tells everybody but the one who said it. Whoever reads too slowly misses something.
    void say(const net::writer& from, std::string_view text) {
        const auto shared = net::chunk::copy_of(text);  // one copy, however many listen
        for (net::writer* one : all_) {
            if (one == &from || one->above_high()) continue;
            if (!one->write(shared)) continue;  // it is leaving
        }
    }

private:
    std::set<net::writer*> all_;
};

/// In the room for as long as it lives, however the connection ends.
struct presence {
    room& where;
    net::writer& who;
    presence(room& r, net::writer& w) : where(r), who(w) { where.enter(who); }
    ~presence() { where.leave(who); }
};

task<> talk(room& where, net::stream client, int number) {
    net::reader in(client, {.bytes_max = line_bytes_max + 2});
    net::writer out(client);
    presence here(where, out);
    const std::string name = "guest " + std::to_string(number);
    where.say(out, name + " comes in\n");
    for (;;) {
        const auto line = co_await as_result(in.read_line(line_bytes_max));
        if (!line || !*line) break;
        where.say(out, name + ": " + std::string(**line) + "\n");
    }
    where.say(out, name + " leaves\n");
}

task<> serve(net::endpoint where) {
    net::listener listener(where);
    std::printf("listening on %s\n", listener.local().to_string().c_str());
    std::fflush(stdout);
    room everybody;
    auto body = [&](scope& guests) -> task<> {
        for (int number = 1;; ++number) {
            net::stream client = co_await listener.accept();
            guests.spawn(talk, everybody, std::move(client), number);
        }
    };
    co_await with_scope(body);
}

}  // namespace

int main(int argc, char** argv) {
    const examples::arguments given(argc, argv, {"listen"});
    const std::string where = given.text("listen", "127.0.0.1:7777");
    const auto address = net::endpoint::parse(where);
    if (!address)
        examples::wrong_usage("--listen needs an address such as 127.0.0.1:7777, not '" + where +
                              "'");
    return run(serve(*address));
}

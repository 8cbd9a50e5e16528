// tcp_proxy: passes connections on to another server.
//
//   tcp_proxy --listen 127.0.0.1:9000 --to localhost:7000

#include "arguments.hpp"
#include <ouro/net/connect.hpp>
#include <ouro/net/listener.hpp>
#include <ouro/net/relay.hpp>
#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/run.hpp>
#include <ouro/runtime/timeout.hpp>

#include <cstdio>
#include <string>

using namespace ouro;
using namespace std::chrono_literals;

namespace {

struct target {
    std::string host;
    std::uint16_t port;
};

task<> pass_on(net::stream client, target to) {
    auto server = co_await as_result(timeout(5s, net::connect(to.host, to.port)));
    if (!server) {
        std::fprintf(stderr, "%s:%d: %s\n", to.host.c_str(), to.port,
                     server.error().message().c_str());
        co_return;
    }
    const auto moved = co_await as_result(net::relay(client, *server));
    if (!moved) std::fprintf(stderr, "a connection broke: %s\n", moved.error().message().c_str());
}

task<> serve(net::endpoint where, target to) {
    net::listener listener(where);
    std::printf("listening on %s\n", listener.local().to_string().c_str());
    std::fflush(stdout);
    for (;;) {
        net::stream client = co_await listener.accept();
        spawn(pass_on(std::move(client), to));
    }
}

}  // namespace

int main(int argc, char** argv) {
    const examples::arguments given(argc, argv, {"listen", "to"});
    const std::string listen = given.text("listen", "127.0.0.1:9000");
    const auto where = net::endpoint::parse(listen);
    if (!where)
        examples::wrong_usage("--listen needs an address such as 127.0.0.1:9000, not '" + listen +
                              "'");
    const std::string to = given.text("to", "127.0.0.1:7000");
    const auto colon = to.rfind(':');
    const int port = colon == std::string::npos ? 0 : std::atoi(to.c_str() + colon + 1);
    if (port < 1 || port > 65'535)
        examples::wrong_usage("--to needs a host and a port such as localhost:7000");
    return run(serve(*where, {to.substr(0, colon), static_cast<std::uint16_t>(port)}));
}

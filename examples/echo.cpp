// echo: the program of the README: sends back whatever comes.

#include <ouro/net/listener.hpp>
#include <ouro/runtime/run.hpp>

#include <array>

ouro::task<> echo(ouro::net::stream client) {
    std::array<std::byte, 4096> block;
    while (std::size_t got = co_await client.recv(block))  // 0: the peer closed its side
        co_await client.send_all(std::span(block).first(got));
}

ouro::task<> serve(ouro::net::endpoint where) {
    ouro::net::listener listener{where};
    for (;;) {
        ouro::net::stream client = co_await listener.accept();
        ouro::spawn(echo(std::move(client)));
    }
}

int main() { return ouro::run(serve({"127.0.0.1", 7000})); }

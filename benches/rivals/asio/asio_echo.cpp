// asio_echo: the echo server on Boost.Asio's C++20 coroutines. `asio_echo PORT`
//
// A coroutine per connection that reads what is there, up to 16 KiB, and writes it back. It is
// built twice: with Asio's epoll reactor, and with its io_uring backend
// (-DBOOST_ASIO_HAS_IO_URING -DBOOST_ASIO_DISABLE_EPOLL).
//
// What makes it good: one thread, and an io_context that is told so and then takes no locks; the
// io_context's own executor in every socket and coroutine instead of the type-erased
// any_io_executor; errors redirected to a variable, since with plain use_awaitable every
// connection that ends would throw (as_tuple costs more per operation); and async_write_some in a
// loop, which is what async_write is, too, but as a composed operation on top.

#include <sys/resource.h>

#include <array>
#include <boost/asio.hpp>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <utility>

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

using executor = asio::io_context::executor_type;
using socket_type = asio::basic_stream_socket<tcp, executor>;
using acceptor_type = asio::basic_socket_acceptor<tcp, executor>;
using timer_type =
    asio::basic_waitable_timer<std::chrono::steady_clock,
                               asio::wait_traits<std::chrono::steady_clock>, executor>;
using nothing = asio::awaitable<void, executor>;

auto error_into(boost::system::error_code& error) {
    return asio::redirect_error(asio::use_awaitable_t<executor>(), error);
}

nothing echo(socket_type client) {
    std::array<char, 16 * 1024> data;
    boost::system::error_code error;
    for (;;) {
        const std::size_t count =
            co_await client.async_read_some(asio::buffer(data), error_into(error));
        if (error) co_return;
        auto rest = asio::buffer(data, count);
        while (rest.size() > 0) {
            rest += co_await client.async_write_some(rest, error_into(error));
            if (error) co_return;
        }
    }
}

nothing listen(acceptor_type acceptor) {
    boost::system::error_code error;
    for (;;) {
        socket_type client = co_await acceptor.async_accept(error_into(error));
        if (!error) {
            co_spawn(acceptor.get_executor(), echo(std::move(client)), asio::detached);
        } else if (error == asio::error::no_descriptors) {  // until a connection ends
            timer_type pause(acceptor.get_executor(), std::chrono::milliseconds(10));
            co_await pause.async_wait(error_into(error));
        }
    }
}

acceptor_type listen_on(asio::io_context& context, unsigned short port) {
    const tcp::endpoint here(asio::ip::address_v4::loopback(), port);
    acceptor_type acceptor(context.get_executor(), here.protocol());
    acceptor.set_option(tcp::acceptor::reuse_address(true));
    acceptor.set_option(tcp::no_delay(true));  // accepted sockets inherit it
    acceptor.bind(here);
    acceptor.listen(4096);
    return acceptor;
}

// A connection is a descriptor, and the soft limit is often 1024.
void raise_descriptor_limit() {
    rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace

int main(int argc, char** argv) {
    const int port = argc == 2 ? std::atoi(argv[1]) : 0;
    if (port < 1 || port > 65535) {
        std::fprintf(stderr, "usage: asio_echo PORT\n");
        return 2;
    }
    raise_descriptor_limit();
    try {
        asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
        co_spawn(context, listen(listen_on(context, static_cast<unsigned short>(port))),
                 asio::detached);
        context.run();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "asio_echo: %s\n", error.what());
        return 1;
    }
}

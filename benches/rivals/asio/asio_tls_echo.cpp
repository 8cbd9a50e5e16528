// asio_tls_echo: asio_echo under TLS. `asio_tls_echo PORT CERTIFICATE KEY`
//
// The same coroutines on asio::ssl::stream, which keeps two buffers of 17 KB and a BIO pair for
// each connection. What asio_echo.cpp says of executors and errors holds here, too. The context
// gives one ticket and keeps no sessions; that OpenSSL releases its buffers is Asio's own choice.

#include <sys/resource.h>

#include <array>
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <utility>

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;
using asio::ip::tcp;

namespace {

using executor = asio::io_context::executor_type;
using socket_type = asio::basic_stream_socket<tcp, executor>;
using stream_type = ssl::stream<socket_type>;
using acceptor_type = asio::basic_socket_acceptor<tcp, executor>;
using timer_type =
    asio::basic_waitable_timer<std::chrono::steady_clock,
                               asio::wait_traits<std::chrono::steady_clock>, executor>;
using nothing = asio::awaitable<void, executor>;

auto error_into(boost::system::error_code& error) {
    return asio::redirect_error(asio::use_awaitable_t<executor>(), error);
}

nothing echo(socket_type socket, ssl::context& secrets) {
    stream_type client(std::move(socket), secrets);
    std::array<char, 16 * 1024> data;
    boost::system::error_code error;
    co_await client.async_handshake(ssl::stream_base::server, error_into(error));
    if (error) co_return;
    for (;;) {
        const std::size_t count =
            co_await client.async_read_some(asio::buffer(data), error_into(error));
        if (error) break;
        auto rest = asio::buffer(data, count);
        while (rest.size() > 0) {
            rest += co_await client.async_write_some(rest, error_into(error));
            if (error) co_return;
        }
    }
    if (error == asio::error::eof) co_await client.async_shutdown(error_into(error));
}

nothing listen(acceptor_type acceptor, ssl::context& secrets) {
    boost::system::error_code error;
    for (;;) {
        socket_type client = co_await acceptor.async_accept(error_into(error));
        if (!error) {
            co_spawn(acceptor.get_executor(), echo(std::move(client), secrets), asio::detached);
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

void read_secrets(ssl::context& into, const char* certificate, const char* key) {
    into.use_certificate_chain_file(certificate);
    into.use_private_key_file(key, ssl::context::pem);
    SSL_CTX_set_session_cache_mode(into.native_handle(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(into.native_handle(), 1);
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
    const int port = argc == 4 ? std::atoi(argv[1]) : 0;
    if (port < 1 || port > 65535) {
        std::fprintf(stderr, "usage: asio_tls_echo PORT CERTIFICATE KEY\n");
        return 2;
    }
    raise_descriptor_limit();
    try {
        ssl::context secrets(ssl::context::tls_server);
        read_secrets(secrets, argv[2], argv[3]);
        asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
        co_spawn(context, listen(listen_on(context, static_cast<unsigned short>(port)), secrets),
                 asio::detached);
        context.run();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "asio_tls_echo: %s\n", error.what());
        return 1;
    }
}

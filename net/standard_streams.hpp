// standard_streams.hpp: standard input, output and error as streams.
#pragma once

#include <ouro/net/stream.hpp>

namespace ouro::net {

/// The process's standard input, whatever it is: a pipe, a terminal, a file, /dev/null, a socket.
///
///     stream in = standard_input();
///     stream out = standard_output();
///     while (std::size_t got = co_await in.recv(block))
///         co_await out.send_all(std::span(block).first(got));
///
/// A descriptor of the stream's own, made anew by each call: closing the stream leaves 0, 1 and 2
/// open, and so whoever reads what the process writes sees its end when the process ends. What is
/// buffered by <cstdio> or <iostream> is not seen here; use one of them only.
///
/// The flags of 0, 1 and 2, which other processes share, stay as they are: a ring needs no other
/// ones, and for epoll pipes and terminals are opened once more (/proc/self/fd). Where that is
/// refused, as for a terminal of another user, they are non-blocking for as long as the stream
/// lives.
///
/// Throws std::system_error as stream::from does.
stream standard_input();
/// Its standard output.
stream standard_output();
/// Its standard error.
stream standard_error();

}  // namespace ouro::net

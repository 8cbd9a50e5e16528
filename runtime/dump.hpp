// dump.hpp: who waits where, since when.
#pragma once

#include <ouro/runtime/clock.hpp>

#include <string>
#include <string_view>

namespace ouro {

/// Describes every task of this worker: id, name, state, age, birthplace, and the chain of
/// `function file:line` waits down to the operation; scopes, combinators and timeouts with all
/// their branches below them.
///
///     2 tasks on worker 0 (uring)
///     task 1 "main", waiting, 3.2 s old
///       serve  examples/echo_server.cpp:17
///         accept fd 5
///     task 2, waiting, 1.1 s old, spawned at examples/echo_server.cpp:18
///       echo  examples/echo_server.cpp:8
///         recv fd 7
///
/// Frames of the runtime's own headers are left out. Every line ends with a newline. Not for hot
/// paths: it walks everything and allocates.
std::string dump_tasks();

/// The same for all workers of the run, one after the other. A worker that does not answer within
/// `patience`, since a task of it holds its loop, is named as such. Blocks the calling thread
/// meanwhile; from any thread of the run.
std::string dump_all_tasks(duration patience = std::chrono::milliseconds(200));

/// The name of a function as a person would say it, out of what compilers put into
/// std::source_location: "echo", "session::run", "lambda in main".
std::string short_function_name(std::string_view signature);

/// True for the file of a frame that the runtime puts between those of the user.
bool is_runtime_file(std::string_view file) noexcept;

/// The path of a source without what leads to the source root: "../examples/x.cpp" as
/// "examples/x.cpp", and that of an installed header as "net/stream.hpp".
std::string_view short_file_name(std::string_view path) noexcept;

}  // namespace ouro

// read_write.hpp: receiving and sending where there is no socket: pipes, terminals, files.
#pragma once

#include <ouro/runtime/engine/passage.hpp>

#include <memory>

namespace ouro {

/// Makes reads of receives and writes of sends, for a descriptor that is no socket.
///
/// One that can be polled (pipe, terminal) waits as a socket does. A file is read and written where
/// its offset stands; a ring does that, and with epoll it is a plain call, which a disk may hold
/// up. Addresses and descriptors in messages are std::errc::operation_not_supported.
///
/// Half closes: what is open in one direction only is closed by the end of that direction; ending
/// the other one does nothing. What is open in both can only be closed whole.
///
/// `adopted` says that the reactor adopted the descriptor, and is to forget it before it is closed:
/// whoever shares it finds it blocking again.
std::unique_ptr<passage> make_read_write(bool adopted);

}  // namespace ouro

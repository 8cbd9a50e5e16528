// datagram.hpp: simulated datagram sockets, UDP-like and Unix-like.
#pragma once

#include <ouro/runtime/sim/socket.hpp>

#include <deque>

namespace ouro::sim {

/// A datagram socket. UDP may lose, delay and reorder, and drops what does not fit the receiver's
/// queue; a Unix socket holds its sender back instead.
class datagram final : public socket {
public:
    using socket::socket;

    /// Connects two new sockets, as socketpair does.
    static void join(datagram& one, datagram& two);

    int receive(message& into) override;
    int send(message& from) override;
    int connect(const name& to) override;
    int shutdown(int how) override;
    int peer(name& into) const override;
    short ready() const override;
    void close() override;

private:
    class arrival;

    struct parcel {
        name from;
        std::vector<std::byte> bytes;
        std::vector<std::shared_ptr<open_file>> files;
    };

    std::shared_ptr<datagram> self() {
        return std::static_pointer_cast<datagram>(shared_from_this());
    }
    int hand_over(const std::shared_ptr<datagram>& receiver, message& from);
    int find(const name& to, std::shared_ptr<datagram>& receiver);
    bool has_room_for(std::size_t bytes) const noexcept;
    void arrived(parcel what);
    void nobody_there();

    name peer_name_;
    std::weak_ptr<datagram> partner_;  // of a pair
    std::deque<parcel> queue_;
    std::size_t queued_bytes_ = 0;
    std::vector<std::weak_ptr<datagram>> blocked_;  // senders that wait for room
    bool paired_ = false;
    bool no_more_reads_ = false;
    bool no_more_writes_ = false;
    bool closed_ = false;
};

}  // namespace ouro::sim

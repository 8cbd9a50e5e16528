// stream.hpp: simulated stream sockets, TCP-like and Unix-like: connecting, bytes in order, ends.
#pragma once

#include <ouro/runtime/sim/link.hpp>
#include <ouro/runtime/sim/socket.hpp>

#include <deque>
#include <optional>

namespace ouro::sim {

/// Bytes in arrival order, and the descriptors that came with some of them.
class byte_queue {
public:
    std::size_t size() const noexcept { return bytes_.size() - begin_; }
    bool empty() const noexcept { return size() == 0; }
    void clear() noexcept;

    void append(std::vector<std::byte> more, std::vector<std::shared_ptr<open_file>> files);

    /// What one receive may take: it stops before bytes that came with other descriptors.
    std::size_t takeable() const noexcept;
    std::span<const std::byte> front(std::size_t n) const noexcept { return {&bytes_[begin_], n}; }

    /// Takes bytes away, and the descriptors that came with the first of them.
    void take(std::size_t n, std::vector<std::shared_ptr<open_file>>& files);

private:
    struct attachment {
        std::uint64_t at;  // counted from the beginning of the stream
        std::vector<std::shared_ptr<open_file>> files;
    };

    std::vector<std::byte> bytes_;
    std::size_t begin_ = 0;
    std::uint64_t taken_ = 0;
    std::deque<attachment> attachments_;
};

/// A stream socket: idle, listening, connecting, connected, or over.
class stream final : public socket {
public:
    using socket::socket;

    /// Connects two new sockets, as socketpair does.
    static void join(stream& one, stream& two);

    int receive(message& into) override;
    int send(message& from) override;
    int connect(const name& to) override;
    int listen(int backlog) override;
    int accept(std::shared_ptr<socket>& taken) override;
    int shutdown(int how) override;
    int peer(name& into) const override;
    short ready() const override;
    void close() override;
    link* way() const noexcept override { return way_.get(); }
    void break_connection() override;
    bool listens() const noexcept override { return backlog_.has_value(); }

private:
    class handshake;
    class answer;
    class segment;
    class gave_up;
    struct delivery;

    enum class state : std::uint8_t { idle, connecting, connected, over };

    struct waiting_list {
        std::size_t limit;  // given by listen()
        std::deque<std::shared_ptr<stream>> established;
        std::deque<std::weak_ptr<stream>> knocking;  // wait for room
    };

    std::shared_ptr<stream> self() { return std::static_pointer_cast<stream>(shared_from_this()); }
    int start_connecting(const name& to);
    void knock();
    void admit(stream& client);
    void let_in();
    void answered(int error);
    void stop_waiting();
    void stop_listening();

    void transmit(delivery what);
    void arrived(delivery what);
    void was_reset();
    void reset_peer();
    void refused(const std::weak_ptr<stream>& by);
    void leave_unix_peer(bool unread);
    std::size_t room() const noexcept;

    state state_ = state::idle;
    std::optional<waiting_list> backlog_;
    std::weak_ptr<stream> peer_;
    std::shared_ptr<link> way_;
    link::side side_ = link::side::client;
    name peer_name_;
    byte_queue arrived_;
    std::size_t outstanding_ = 0;  // bytes sent that the peer has not taken
    std::size_t capacity_ = 0;     // of what may be outstanding
    bool peer_ended_ = false;      // its end of stream has arrived
    bool no_more_reads_ = false;   // shutdown(SHUT_RD)
    bool no_more_writes_ = false;  // shutdown(SHUT_WR), or reset
    bool connect_reported_ = false;
    bool closed_ = false;
    world::plan_id gives_up_{};  // while connecting
};

}  // namespace ouro::sim

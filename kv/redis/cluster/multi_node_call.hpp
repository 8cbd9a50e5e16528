// multi_node_call.hpp: one command for several nodes, on its way to all of them.
#pragma once

#include <ouro/kv/redis/cluster/core.hpp>
#include <ouro/kv/redis/cluster/scatter.hpp>
#include <ouro/kv/redis/connection/batch.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace ouro::redis {

/// The part of a command that is for one of several nodes.
class request_part final : public routed_request {
public:
    /// The bytes must stay until it has ended.
    request_part(const command_info& what, std::span<const std::byte> encoded, bool repeatable);
    void go_to(std::uint16_t slot, bool reads) noexcept;
    void go_to(cluster_core::node_ptr node) noexcept { pin_to(std::move(node)); }

    reply got;
    std::error_code error;  // why there is no reply
    std::string words;
    net::fate how_far = net::fate::answered;

private:
    bool encode(net::writer& out) const override { return out.write(encoded_); }
    void take(const value& from) override { got.assign(from); }
    void fail(std::error_code why, std::string_view said, net::fate fate) noexcept override;

    std::span<const std::byte> encoded_;
};

/// A command whose keys lie in several slots, or that is for all masters, or for all nodes.
class multi_node_call {
public:
    /// Null when the command is for one node. The bytes must stay as long as this.
    static std::unique_ptr<multi_node_call> plan(cluster_core& by, const command_info& what,
                                                 std::span<const std::byte> encoded);
    multi_node_call(const multi_node_call&) = delete;

    std::span<const std::unique_ptr<request_part>> requests() const noexcept { return requests_; }

    /// Why there is no reply to be made: the part that failed, or null.
    const request_part* failure() const noexcept;
    /// How far the whole had come: it was not unsent if any of its parts was sent.
    net::fate how_far() const noexcept;
    /// One reply made of those of the parts; call it once.
    joined_reply join();

private:
    multi_node_call(const command_info& what, std::vector<command_part> parts) noexcept
        : what_(what), parts_(std::move(parts)) {}

    const command_info& what_;
    std::vector<command_part> parts_;
    std::vector<std::unique_ptr<request_part>> requests_;
};

/// Tells a command of a batch why it has no reply, or that this error is its reply.
void set_failure(batch& of, std::size_t index, std::error_code why, std::string_view words,
                 net::fate how_far) noexcept;

}  // namespace ouro::redis

#include <ouro/kv/redis/sentinel.hpp>

#include <ouro/kv/redis/connection/or_close.hpp>

#include <string>

namespace ouro::redis {
namespace {

/// The texts of sentinel_options, kept until they have been used.
class kept_options {
public:
    explicit kept_options(const sentinel_options& from)
        : options_(from),
          user_(from.user),
          password_(from.password),
          sentinel_user_(from.sentinel_user),
          sentinel_password_(from.sentinel_password),
          client_name_(from.client.client_name),
          tls_name_(from.client.link.tls.server_name),
          sentinel_tls_name_(from.sentinel_tls.server_name) {}

    sentinel_options get() const noexcept {
        sentinel_options whole = options_;
        whole.user = user_;
        whole.password = password_;
        whole.sentinel_user = sentinel_user_;
        whole.sentinel_password = sentinel_password_;
        whole.client.client_name = client_name_;
        whole.client.link.tls.server_name = tls_name_;
        whole.sentinel_tls.server_name = sentinel_tls_name_;
        return whole;
    }

private:
    sentinel_options options_;
    std::string user_, password_, sentinel_user_, sentinel_password_, client_name_;
    std::string tls_name_, sentinel_tls_name_;
};

task<std::shared_ptr<sentinel_core>> open(std::vector<std::string> sentinels, std::string master,
                                          kept_options options) {
    std::shared_ptr<sentinel_core> made = sentinel_core::open(sentinels, master, options.get());
    const auto close = [made] { return sentinel_core::close(made); };
    co_await or_close(sentinel_core::ready(made), close);
    co_return made;
}

}  // namespace

task<sentinel_client> sentinel_client::connect(const words& sentinels, std::string_view master,
                                               const sentinel_options& options) {
    std::vector<std::string> texts;
    for (const arg& each : sentinels.args())
        each.for_each([&](std::string_view text) { texts.emplace_back(text); });
    return finish(open(std::move(texts), std::string(master), kept_options(options)));
}

task<sentinel_client> sentinel_client::finish(task<std::shared_ptr<sentinel_core>> opening) {
    co_return sentinel_client(co_await std::move(opening));
}

}  // namespace ouro::redis

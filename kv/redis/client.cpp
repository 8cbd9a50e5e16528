#include <ouro/kv/redis/client.hpp>

namespace ouro::redis {

task<client> client::connect(std::string where, client_options options) {
    const url parsed = url::read(where);
    co_return co_await connect(parsed, std::move(options));
}

task<client> client::connect(url where, client_options options) {
    client made(std::make_shared<client_core>(where, std::move(options)));
    co_await made.core_->ready();
    co_return made;
}

}  // namespace ouro::redis

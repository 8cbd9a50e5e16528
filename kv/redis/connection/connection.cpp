#include <ouro/kv/redis/connection/connection.hpp>

namespace ouro::redis {
task<std::unique_ptr<connection>> connection::open(session_options options) {
    options.reconnect = false;
    options.abandon_closes = true;
    auto made = std::make_unique<connection>(session::open(std::move(options)));
    co_await made->session().ready();
    co_return made;
}

}  // namespace ouro::redis

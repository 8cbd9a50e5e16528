#include <ouro/kv/redis/client.hpp>

#include <ouro/kv/redis/connection/or_close.hpp>
#include <ouro/net/session/thrown.hpp>

#include <string>
#include <system_error>

namespace ouro::redis {

task<client> client::connect(std::string where, client_options options) {
    const url parsed = url::read(where);
    co_return co_await connect(parsed, std::move(options));
}

task<net::pool<connection>::lease> client::lease_for(std::shared_ptr<client_core> core,
                                                     const redis::command& what) {
    try {
        co_return co_await core->lease();
    } catch (const error&) {
        throw;
    } catch (const std::system_error& failure) {
        throw error(failure.code(), net::fate::unsent, what.name(), net::words_of(failure));
    }
}

task<client> client::connect(url where, client_options options) {
    client made(std::make_shared<client_core>(where, std::move(options)));
    const auto close = [core = made.core_] { return core->close(); };
    co_await or_close(made.core_->ready(), close);
    co_return made;
}

}  // namespace ouro::redis

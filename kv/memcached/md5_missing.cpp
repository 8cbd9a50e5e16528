#include <ouro/kv/memcached/md5.hpp>
#include <ouro/runtime/check.hpp>

namespace ouro::memcached {

bool has_md5() noexcept { return false; }

md5_digest md5(std::string_view) noexcept {
    OURO_ASSERT(has_md5());
    return {};
}

}  // namespace ouro::memcached

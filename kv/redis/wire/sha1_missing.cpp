#include <ouro/kv/redis/wire/sha1.hpp>

namespace ouro::redis {

std::string sha1_of(std::string_view) { return {}; }

}  // namespace ouro::redis

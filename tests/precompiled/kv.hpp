// precompiled/kv.hpp: what most tests of kv include besides, and what they take longest to read.
// No guard, as in tests.hpp.

#include "tests.hpp"
#include <ouro/kv/memcached/client.hpp>
#include <ouro/kv/redis/client.hpp>
#include <ouro/kv/redis/cluster.hpp>

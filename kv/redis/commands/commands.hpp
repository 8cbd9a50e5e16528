// commands.hpp: every typed command, for whatever can run one.
//
// What a reply is read as can be chosen with a template argument: for a single value its own type
// (`get<std::int64_t>("hits")`, of which there is a std::optional where there may be none), for
// several the type of all of them (`lrange<std::vector<double>>("list", 0, -1)`,
// `hgetall<user>("user:1")`). decode.hpp tells what fits.
//
// Not here: what changes the connection (SELECT, AUTH, MULTI, WATCH, SUBSCRIBE, CLIENT TRACKING …)
// is the business of the doors; HELP texts, DEBUG and SHUTDOWN are left to `command("NAME")`.
#pragma once

#include <ouro/kv/redis/commands/acl.hpp>
#include <ouro/kv/redis/commands/bitmaps.hpp>
#include <ouro/kv/redis/commands/cluster.hpp>
#include <ouro/kv/redis/commands/connection.hpp>
#include <ouro/kv/redis/commands/functions.hpp>
#include <ouro/kv/redis/commands/geo.hpp>
#include <ouro/kv/redis/commands/hashes.hpp>
#include <ouro/kv/redis/commands/hyperloglog.hpp>
#include <ouro/kv/redis/commands/keys.hpp>
#include <ouro/kv/redis/commands/lists.hpp>
#include <ouro/kv/redis/commands/pubsub.hpp>
#include <ouro/kv/redis/commands/scripting.hpp>
#include <ouro/kv/redis/commands/server.hpp>
#include <ouro/kv/redis/commands/sets.hpp>
#include <ouro/kv/redis/commands/sorted_sets.hpp>
#include <ouro/kv/redis/commands/streams.hpp>
#include <ouro/kv/redis/commands/strings.hpp>

namespace ouro::redis {

/// The typed commands of a door: see door, which derives from it.
///
/// A door has `run<T>(verb, arguments)` and, if it can wait, `run_blocking<T>(verb, how long,
/// arguments)`; both encode the arguments before they return.
template <class Door>
class commands : public string_commands<Door>,
                 public key_commands<Door>,
                 public hash_commands<Door>,
                 public list_commands<Door>,
                 public set_commands<Door>,
                 public sorted_set_commands<Door>,
                 public stream_commands<Door>,
                 public geo_commands<Door>,
                 public hyperloglog_commands<Door>,
                 public bitmap_commands<Door>,
                 public scripting_commands<Door>,
                 public function_commands<Door>,
                 public pubsub_commands<Door>,
                 public server_commands<Door>,
                 public acl_commands<Door>,
                 public connection_commands<Door>,
                 public cluster_commands<Door> {};

}  // namespace ouro::redis

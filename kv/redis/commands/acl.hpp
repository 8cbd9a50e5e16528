// acl.hpp: users, and what they may do.
#pragma once

#include <ouro/kv/redis/commands/arguments.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ouro::redis {

/// The ACL commands of a door.
template <class Door>
class acl_commands {
public:
    /// ACL CAT: the categories, or the commands of one.
    auto acl_cat(std::string_view category = {}) {
        arg_list list;
        if (!category.empty()) list.add(category);
        return door().template run<std::vector<std::string>>(verb::acl_cat, list);
    }
    /// ACL DELUSER: removes users and ends their connections; how many there were.
    auto acl_deluser(const words& users) {
        return door().template run<std::int64_t>(verb::acl_deluser, users.args());
    }
    /// ACL DRYRUN: "OK", or why the user may not run that whole command.
    auto acl_dryrun(std::string_view user, const words& whole) {
        arg_list list;
        list.add(user);
        add_all(list, whole.args());
        return door().template run<std::string>(verb::acl_dryrun, list);
    }
    /// ACL GENPASS: a random password of so many bits, in hexadecimal digits.
    auto acl_genpass(std::int64_t bits = 256) {
        return door().template run<std::string>(verb::acl_genpass, {bits});
    }
    /// ACL GETUSER: a user's rules, as they come; null when there is no such user.
    template <class T = reply>
    auto acl_getuser(std::string_view user) {
        return door().template run<T>(verb::acl_getuser, {user});
    }
    /// ACL LIST: all users, in the form of an ACL file.
    auto acl_list() { return door().template run<std::vector<std::string>>(verb::acl_list); }
    /// ACL LOAD: from the ACL file: all of it or, with an error, nothing.
    auto acl_load() { return door().template run<void>(verb::acl_load); }
    /// ACL LOG: what was refused lately, as it comes.
    template <class T = reply>
    auto acl_log(std::int64_t count = 10) {
        return door().template run<T>(verb::acl_log, {count});
    }
    /// ACL LOG RESET
    auto acl_log_reset() { return door().template run<void>(verb::acl_log, {"RESET"}); }
    /// ACL SAVE: to the ACL file.
    auto acl_save() { return door().template run<void>(verb::acl_save); }
    /// ACL SETUSER: makes or changes a user: `{"on", ">secret", "~cache:*", "+@read"}`.
    auto acl_setuser(std::string_view user, const words& rules = {}) {
        arg_list list;
        list.add(user);
        add_all(list, rules.args());
        return door().template run<void>(verb::acl_setuser, list);
    }
    /// ACL USERS: their names.
    auto acl_users() { return door().template run<std::vector<std::string>>(verb::acl_users); }
    /// ACL WHOAMI: the user of the connection.
    auto acl_whoami() { return door().template run<std::string>(verb::acl_whoami); }

private:
    Door& door() noexcept { return static_cast<Door&>(*this); }
};

}  // namespace ouro::redis

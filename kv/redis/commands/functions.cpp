#include <ouro/kv/redis/commands/functions.hpp>

namespace ouro::redis {

std::error_code decoder<library_function>::read(const value& from, library_function& into) {
    into = {};
    return for_each_pair(from, [&into](const value& name, const value& each) {
        if (!name.has_text()) return unexpected(name);
        if (name.text() == "name") return decode(each, into.name);
        if (name.text() == "description") return decode(each, into.description);
        if (name.text() == "flags") return decode(each, into.flags);
        return std::error_code();
    });
}

std::error_code decoder<function_library>::read(const value& from, function_library& into) {
    into = {};
    return for_each_pair(from, [&into](const value& name, const value& each) {
        if (!name.has_text()) return unexpected(name);
        if (name.text() == "library_name") return decode(each, into.name);
        if (name.text() == "engine") return decode(each, into.engine);
        if (name.text() == "functions") return decode(each, into.functions);
        if (name.text() == "library_code") return decode(each, into.code);
        return std::error_code();
    });
}

}  // namespace ouro::redis

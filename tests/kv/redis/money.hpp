// money.hpp: a type of a user's, whose decoder throws for what is no number.
#pragma once

#include <ouro/kv/redis/wire/decode.hpp>

#include <string>
#include <system_error>

namespace ouro::testing {

struct money {
    long cents = 0;
};

}  // namespace ouro::testing

/// As somebody might write it.
template <>
struct ouro::redis::decoder<ouro::testing::money> {
    static std::error_code read(const redis::value& from, testing::money& into) {
        into.cents = std::stol(std::string(from.text()));
        return {};
    }
};

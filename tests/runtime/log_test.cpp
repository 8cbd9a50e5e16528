#include <ouro/runtime/log.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace ouro;

namespace {

std::string heard;

void keep(log_level level, std::string_view text) {
    heard += std::to_string(static_cast<int>(level)) + ':' + std::string(text) + ';';
}

}  // namespace

TEST_CASE("the library is silent until somebody listens, and again afterwards") {
    heard.clear();
    CHECK_FALSE(log_enabled());
    log(log_level::error, "into the void");
    set_log(keep);
    CHECK(log_enabled());
    log(log_level::debug, "first");
    log(log_level::error, "second");
    set_log(nullptr);
    CHECK_FALSE(log_enabled());
    log(log_level::error, "into the void");
    CHECK(heard == "0:first;3:second;");
}

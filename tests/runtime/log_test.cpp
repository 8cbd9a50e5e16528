#include <ouro/runtime/log.hpp>

#include <ouro/tests/dies.hpp>

#include <doctest/doctest.h>

#include <string>

using namespace ouro;

namespace {

std::string heard;

void keep(log_level level, std::string_view text) {
    heard += std::to_string(static_cast<int>(level)) + ':' + std::string(text) + ';';
}

}  // namespace

TEST_CASE("warnings and errors go to standard error until somebody decides otherwise") {
    const ending how = in_child([] {
        CHECK(log_enabled());
        CHECK_FALSE(log_enabled(log_level::info));
        log(log_level::info, "how it goes");
        log(log_level::warning, "mind that");
        log(log_level::error, "that failed");
        return 0;
    });
    CHECK(how.said == "ouro: warning: mind that\nouro: error: that failed\n");
}

TEST_CASE("without a sink the library is silent") {
    heard.clear();
    set_log(nullptr);
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

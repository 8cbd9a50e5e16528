// no_more_descriptors.hpp: a process that has used up its descriptors.
#pragma once

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace ouro {

/// Lowers the limit of descriptors to those that are open.
class no_more_descriptors {
public:
    no_more_descriptors() {
        REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
        const int free = ::fcntl(0, F_DUPFD_CLOEXEC, 0);
        REQUIRE(free >= 0);
        ::close(free);
        rlimit full = before_;
        full.rlim_cur = static_cast<rlim_t>(free);
        REQUIRE(::setrlimit(RLIMIT_NOFILE, &full) == 0);
    }
    ~no_more_descriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_;
};

}  // namespace ouro

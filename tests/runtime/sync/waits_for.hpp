// waits_for.hpp: what a task waits for, as a dump would say it.
#pragma once

#include <ouro/runtime/spawn.hpp>

#include <string>

namespace ouro {

inline std::string waits_for(const join_handle_base& task) {
    struct collector final : leaf_description {
        std::string all;
        void text(std::string line) override { all += line; }
        void child(chain&) override {}
    } into;
    const root_task* found = executor::current().tasks().find(task.id());
    if (found && found->waiting_for()) found->waiting_for()->describe(into);
    return into.all;
}

}  // namespace ouro

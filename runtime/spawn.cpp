#include <ouro/runtime/spawn.hpp>

#include <string>

namespace ouro {

bool join_await::suspend(promise_base& frame) noexcept {
    if (!wait(frame)) return false;
    task_.set_joiner(this);
    return true;
}

void join_await::cancel(cancel_reason) noexcept {
    task_.set_joiner(nullptr);
    resume();
}

void join_await::check() const {
    if (!task_.finished()) throw_error(errc::cancelled);
}

void join_await::describe(leaf_description& into) const {
    std::string text = "join of task " + std::to_string(task_.number());
    if (!task_.name().empty()) text += " \"" + std::string(task_.name()) + '"';
    into.text(std::move(text));
}

}  // namespace ouro

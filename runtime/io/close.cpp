#include <ouro/runtime/io/close.hpp>

#include <string>

namespace ouro {

void close_op::describe(leaf_description& into) const {
    into.text("close fd " + std::to_string(on_.number()));
}

}  // namespace ouro

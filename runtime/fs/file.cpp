#include <ouro/runtime/fs/file.hpp>

namespace ouro {

file& file::operator=(file&& other) noexcept {
    OURO_ASSERT(handle_.users == 0 && other.handle_.users == 0 &&
                "file: moved while an operation is in flight: await that first");
    handle_.fd = std::move(other.handle_.fd);
    return *this;
}

task<file> file::open(std::string path, int flags, mode_t mode) {
    open_op opening(std::move(path), flags, mode);
    co_return file(co_await opening);
}

}  // namespace ouro

// file.hpp: files, without blocking the worker.
#pragma once

#include <ouro/runtime/fs/file_ops.hpp>

namespace ouro {

/// An open file of this worker.
///
/// Every operation says where in the file it works, so any number may be in flight at a time; they
/// run in no particular order. The file must not be moved, closed or destroyed meanwhile. A ring
/// performs them; with epoll helper threads of their own do, and errors of blocking() are theirs,
/// too: errc::overloaded, errc::no_thread. On a file that is not open, or moved from, each fails
/// with std::errc::bad_file_descriptor.
class file {
public:
    file() noexcept = default;
    /// Takes over a descriptor.
    explicit file(descriptor opened) noexcept { handle_.fd = std::move(opened); }
    file(file&& other) noexcept { *this = std::move(other); }
    file& operator=(file&& other) noexcept;
    ~file() {
        OURO_ASSERT(handle_.users == 0 &&
                    "file: destroyed while an operation is in flight: await that first");
    }

    /// Opens `path`; flags and mode are those of open(2): `co_await file::open(path, O_RDONLY)`.
    static task<file> open(std::string path, int flags = O_RDONLY, mode_t mode = 0666);

    /// Reads up to `into.size()` bytes at `offset`, at most 1 GiB; yields their number, 0 at the
    /// end of the file.
    read_at_op read_at(std::span<std::byte> into, std::uint64_t offset) noexcept {
        return {handle_, into, offset};
    }

    /// Writes from the front of `from` at `offset`, at most 1 GiB; yields how many bytes it wrote,
    /// which may be fewer.
    write_at_op write_at(std::span<const std::byte> from, std::uint64_t offset) noexcept {
        return {handle_, from, offset};
    }

    /// Waits until everything written has reached the disk.
    sync_file_op sync() noexcept { return {handle_, sync_file_op::what::everything}; }
    /// The same for the contents alone.
    sync_file_op sync_data() noexcept { return {handle_, sync_file_op::what::data}; }

    /// The size in bytes.
    file_size_op size() noexcept { return file_size_op(handle_); }

    /// Closes it and reports errors; the destructor closes, too, but tells nobody. After a
    /// cancelled close() the file is still open.
    close_file_op close() noexcept { return close_file_op(handle_); }

    bool is_open() const noexcept { return handle_.fd.is_open(); }
    int number() const noexcept { return handle_.fd.number(); }

private:
    file_handle handle_;
};

}  // namespace ouro

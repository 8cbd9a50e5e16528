#include <ouro/runtime/fs/file.hpp>

#include <ouro/runtime/as_result.hpp>
#include <ouro/runtime/scope.hpp>
#include <ouro/runtime/testing/doctest.hpp>
#include <ouro/tests/temporary_folder.hpp>

#include <array>
#include <span>
#include <string>
#include <string_view>

using namespace ouro;

namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
    return std::as_bytes(std::span(text));
}

std::string_view text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

task<> write_block(file& to, char letter, std::uint64_t offset) {
    const std::string block(1000, letter);
    const std::size_t written = co_await to.write_at(bytes_of(block), offset);
    CHECK(written == block.size());
}

task<std::error_code> read_error(file& from) {
    std::array<std::byte, 8> space;
    const auto got = co_await as_result(from.read_at(space, 0));
    co_return got.error();
}

}  // namespace

OURO_TEST_IO("what was written to a file can be read, at any offset") {
    const temporary_folder folder;
    file one = co_await file::open(folder.file("file"), O_RDWR | O_CREAT);
    const std::size_t written = co_await one.write_at(bytes_of("hello, world"), 0);
    CHECK(written == 12);
    co_await one.sync();
    co_await one.sync_data();
    const std::uint64_t size = co_await one.size();
    CHECK(size == 12);
    std::array<std::byte, 5> space;
    const std::size_t got = co_await one.read_at(space, 7);
    CHECK(text_of(std::span(space).first(got)) == "world");
    const std::size_t at_the_end = co_await one.read_at(space, 12);
    CHECK(at_the_end == 0);
    co_await one.close();
    CHECK(!one.is_open());
}

OURO_TEST_IO("many operations on one file run at a time") {
    const temporary_folder folder;
    file one = co_await file::open(folder.file("file"), O_RDWR | O_CREAT);
    co_await with_scope([&](scope& tasks) -> task<> {
        for (int i = 0; i < 26; ++i)
            tasks.spawn(write_block, one, static_cast<char>('a' + i), i * 1000ULL);
        co_return;
    });
    const std::uint64_t size = co_await one.size();
    CHECK(size == 26'000);
    std::array<std::byte, 1> letter;
    for (int i = 0; i < 26; ++i) {
        co_await one.read_at(letter, i * 1000ULL + 999);
        CHECK(text_of(letter)[0] == 'a' + i);
    }
}

OURO_TEST_IO("a file that is not there is an error that says so") {
    const temporary_folder folder;
    open_op opening(folder.file("file"));
    const auto missing = co_await as_result(opening);
    CHECK(missing.error() == std::errc::no_such_file_or_directory);
}

OURO_TEST_IO("reading a file that is open for writing only is an error") {
    const temporary_folder folder;
    file one = co_await file::open(folder.file("file"), O_WRONLY | O_CREAT);
    const std::error_code why = co_await read_error(one);
    CHECK(why == std::errc::bad_file_descriptor);
}

OURO_TEST_IO("an operation of a cancelled task does nothing; close leaves the file open") {
    const temporary_folder folder;
    file one = co_await file::open(folder.file("file"), O_RDWR | O_CREAT);
    auto reading = spawn(read_error(one));
    reading.cancel();
    const std::error_code why = co_await reading;
    CHECK(why == errc::cancelled);
    auto closing = spawn([](file& it) -> task<> { co_await it.close(); }, std::ref(one));
    closing.cancel();
    static_cast<void>(co_await as_result(closing));
    CHECK(one.is_open());
}

OURO_TEST_IO("cancelling what is in flight never leaks a descriptor or a frame") {
    const temporary_folder folder;
    for (int round = 0; round < 20; ++round) {
        auto opening = spawn(
            [](std::string path) -> task<> {
                const file opened = co_await file::open(path, O_RDWR | O_CREAT);
            },
            folder.file("file"));
        for (int i = 0; i < round % 5; ++i) co_await yield();
        opening.cancel();
        static_cast<void>(co_await as_result(opening));
    }
}

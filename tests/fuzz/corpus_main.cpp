// Runs a fuzz target on every file of the folders it is told, where there is no libFuzzer.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) try {
    int files = 0;
    for (int folder = 1; folder < argc; ++folder) {
        for (const auto& file : std::filesystem::directory_iterator(argv[folder])) {
            // Flushed, so that the last name is that of the file that crashed it.
            std::printf("%s\n", file.path().c_str());
            std::fflush(stdout);
            std::ifstream stream(file.path(), std::ios::binary);
            const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
            LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                   bytes.size());
            ++files;
        }
    }
    std::printf("%d files\n", files);
    return files > 0 ? 0 : 1;
} catch (const std::exception& problem) {
    std::fprintf(stderr, "%s\n", problem.what());
    return 1;
}

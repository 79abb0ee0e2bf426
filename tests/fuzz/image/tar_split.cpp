// Fuzz target: the list that a layer's tar is put together from again, beside a tree with links that lead out of it.
// The list is made a gzip file here; an odd first byte has the rest taken as it is, compressed by whoever has made it.
#include "ctrd/image/tar_split.hpp"

#include "ctrd/base/file.hpp"
#include "tests/fuzz/promise.hpp"

#include <fcntl.h>
#include <isa-l/crc.h>
#include <malloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>

namespace {

using namespace ctrd;

constexpr std::size_t longest_file = 64;
constexpr std::size_t enough = 8U << 20;

/// A layer's files, and beside it one that nobody may see.
class Tree {
public:
    Tree() {
        // Each run's large buffers come from what the last one has left, without the kernel's new pages.
        ::mallopt(M_MMAP_THRESHOLD, 8 << 20);
        ::mallopt(M_TRIM_THRESHOLD, 64 << 20);
        char name[] = "/tmp/fuzz-tar-split.XXXXXX";
        fuzz::promise(::mkdtemp(name) != nullptr, "there is a folder");
        folder_ = name;
        std::filesystem::create_directories(folder_ / "tree/d");
        write(folder_ / "secret", secret_);
        write(folder_ / "tree/one", "first");
        write(folder_ / "tree/d/two", std::string(longest_file, '2'));
        std::filesystem::create_symlink(folder_ / "secret", folder_ / "tree/absolute");
        std::filesystem::create_symlink("../secret", folder_ / "tree/relative");
        std::filesystem::create_symlink("..", folder_ / "tree/up");
        fuzz::promise(::mkfifo((folder_ / "tree/pipe").c_str(), 0600) == 0, "there is a pipe");
        fd_ = UniqueFd{::open((folder_ / "tree").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        fuzz::promise(static_cast<bool>(fd_), "there is a tree");
    }
    ~Tree() {
        std::error_code ignored;
        std::filesystem::remove_all(folder_, ignored);
    }
    Tree(const Tree&) = delete;
    Tree& operator=(const Tree&) = delete;

    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] const std::string& secret() const { return secret_; }

private:
    /// Another one each time, so that no input can have it.
    static std::string any() {
        std::random_device random;
        std::string text;
        while (text.size() < 40)
            text += std::to_string(random());
        return text;
    }
    static void write(const std::filesystem::path& path, const std::string& text) {
        std::ofstream{path, std::ios::binary} << text;
    }

    std::filesystem::path folder_{};
    std::string secret_ = any();
    UniqueFd fd_{};
};

void add_number(std::string& to, std::uint32_t number, unsigned bytes) {
    for (; bytes > 0; --bytes, number >>= 8)
        to += static_cast<char>(number & 255);
}

/// gzip's frame around text as it is: the fuzzer has better things to do than to compress.
std::string framed(const std::string& text) {
    std::string packed{"\x1f\x8b\x08\0\0\0\0\0\0\xff", 10};
    constexpr std::size_t longest_block = 65535;
    for (std::size_t at = 0; at == 0 || at < text.size(); at += longest_block) {
        const std::string part = text.substr(at, longest_block);
        packed += at + part.size() >= text.size() ? '\1' : '\0';
        add_number(packed, static_cast<std::uint32_t>(part.size()), 2);
        add_number(packed, ~static_cast<std::uint32_t>(part.size()), 2);
        packed += part;
    }
    const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
    add_number(packed, ::crc32_gzip_refl(0, bytes, text.size()), 4);
    add_number(packed, static_cast<std::uint32_t>(text.size()), 4);
    return packed;
}

UniqueFd as_file(const std::string& text) {
    UniqueFd file{::memfd_create("list", MFD_CLOEXEC)};
    const bool well = file && write_all(file.get(), text).has_value() && ::lseek(file.get(), 0, SEEK_SET) == 0;
    fuzz::promise(well, "there is a list");
    return file;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Tree tree;
    if (size == 0)
        return 0;
    const std::string text{reinterpret_cast<const char*>(data) + 1, size - 1};
    const bool raw = (data[0] & 1) != 0;
    const UniqueFd list = as_file(raw ? text : framed(text));
    std::string tar;
    const auto done = image::rebuild_tar(list.get(), tree.fd(), [&](std::string_view part) -> Result<void> {
        tar += part;
        return tar.size() < enough ? Result<void>{} : fail(bad_input("enough"));
    });
    fuzz::promise(tar.find(tree.secret().substr(0, 20)) == std::string::npos, "no link leads out of the tree");
    const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
    fuzz::promise(raw || tar.size() <= text.size() + lines * longest_file,
                  "what comes out was in the list or the tree");
    if (!done)
        fuzz::promise(!done.error().message.empty(), "an error says something");
    return 0;
}

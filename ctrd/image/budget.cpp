#include "ctrd/image/budget.hpp"

#include "ctrd/base/fd.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <set>
#include <string>
#include <utility>

namespace ctrd::image {
namespace {

Error too_much(std::uint64_t bytes, std::uint64_t left) {
    return Error{std::errc::no_space_on_device,
                 "the image store would have more than 'max-size' in /etc/ctrd/images.toml allows: " +
                     std::to_string(bytes) + " bytes are to come, and " + std::to_string(left) + " are left",
                 "'ctrctl image prune' removes what nobody uses, or allow more there"};
}

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

constexpr int deepest = 2100; // no path reaches further down; a container may make such trees all the same

class Count {
public:
    Result<void> folder(int parent, const char* name, int depth = 0) {
        const std::unique_ptr<DIR, CloseDir> dir{
            ::fdopendir(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))};
        if (!dir)
            return gone() ? Result<void>{} : fail(os_error(errno, "cannot count what the image store holds"));
        const int fd = ::dirfd(dir.get());
        while (const dirent* entry = ::readdir(dir.get())) {
            const std::string_view entry_name = entry->d_name;
            struct stat st {};
            if (entry_name == "." || entry_name == ".." || ::fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                continue;
            if (S_ISDIR(st.st_mode) && depth < deepest)
                TRY_VOID(folder(fd, entry->d_name, depth + 1));
            if (st.st_nlink < 2 || S_ISDIR(st.st_mode) || seen_.emplace(st.st_dev, st.st_ino).second)
                bytes_ += static_cast<std::uint64_t>(st.st_blocks) * 512;
        }
        return {};
    }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

private:
    static bool gone() { return errno == ENOENT || errno == ENOTDIR || errno == ELOOP; }
    std::uint64_t bytes_{0};
    std::set<std::pair<dev_t, ino_t>> seen_{};
};

} // namespace

Result<void> Budget::charge(std::uint64_t bytes) {
    std::uint64_t left = left_;
    do
        if (bytes > left)
            return fail(too_much(bytes, left));
    while (!left_.compare_exchange_weak(left, left - bytes));
    return {};
}

Result<void> Budget::check(std::uint64_t bytes) const {
    const std::uint64_t left = left_;
    return bytes > left ? fail(too_much(bytes, left)) : Result<void>{};
}

Result<std::uint64_t> bytes_used(int store) {
    Count count;
    TRY_VOID(count.folder(store, "."));
    return count.bytes();
}

} // namespace ctrd::image

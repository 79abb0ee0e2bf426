#include "ctrd/bus/stored_descriptors.hpp"

#include "ctrd/base/process.hpp"

#include <dirent.h>

#include <cerrno>
#include <charconv>
#include <memory>

namespace ctrd::bus {
namespace {

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

} // namespace

Result<std::vector<UniqueFd>> take_descriptors_from(pid_t pid, bool (*like)(std::string_view link),
                                                    bool (*is_it)(int fd)) {
    const UniqueFd pidfd = TRY(open_pidfd(pid));
    const std::unique_ptr<DIR, CloseDir> dir{::opendir(("/proc/" + std::to_string(pid) + "/fd").c_str())};
    if (!dir)
        return fail(os_error(errno, "cannot list the descriptors of process " + std::to_string(pid)));
    std::vector<UniqueFd> found;
    while (const dirent* entry = ::readdir(dir.get())) {
        const std::string_view name = entry->d_name;
        int number = -1;
        char link[256];
        const ssize_t length = ::readlinkat(::dirfd(dir.get()), entry->d_name, link, sizeof link);
        if (std::from_chars(name.data(), name.data() + name.size(), number).ec != std::errc{} || length <= 0 ||
            !like({link, static_cast<std::size_t>(length)}))
            continue;
        auto fd = steal_fd(pidfd.get(), number);
        if (fd && is_it(fd->get())) // else closed since, or somebody else's
            found.push_back(*std::move(fd));
    }
    return found;
}

} // namespace ctrd::bus

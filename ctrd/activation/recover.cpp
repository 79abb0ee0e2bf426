#include "ctrd/activation/recover.hpp"

#include "ctrd/activation/freezer.hpp"
#include "ctrd/base/process.hpp"

#include <dirent.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>

namespace ctrd::activation {
namespace {

using namespace std::chrono_literals;
constexpr std::chrono::milliseconds freeze_timeout = 500ms;

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

bool is_notify_link(int folder, const char* name) {
    char link[64];
    const ssize_t length = ::readlinkat(folder, name, link, sizeof link);
    return length >= 0 && std::string_view{link, static_cast<std::size_t>(length)} == "anon_inode:seccomp notify";
}

} // namespace

Result<std::vector<UniqueFd>> take_notify_fds_from(pid_t pid) {
    const std::string process = "process " + std::to_string(pid);
    const UniqueFd pidfd = TRY(open_pidfd(pid));
    const std::unique_ptr<DIR, CloseDir> dir{::opendir(("/proc/" + std::to_string(pid) + "/fd").c_str())};
    if (!dir)
        return fail(os_error(errno, "cannot list the descriptors of " + process));
    std::vector<UniqueFd> found;
    while (const dirent* entry = ::readdir(dir.get())) {
        const std::string_view name = entry->d_name;
        int number = -1;
        if (std::from_chars(name.data(), name.data() + name.size(), number).ec != std::errc{} ||
            !is_notify_link(::dirfd(dir.get()), entry->d_name))
            continue;
        auto fd = steal_fd(pidfd.get(), number);
        if (!fd && fd.error().code == std::errc::bad_file_descriptor)
            continue; // closed since we read the link
        if (!fd)
            return fail(std::move(fd).context(process).error());
        if (std::ranges::none_of(found, [&](const UniqueFd& other) { return same_open_file(fd->get(), other.get()); }))
            found.push_back(std::move(*fd));
    }
    return found;
}

bool same_open_file(int one, int other) noexcept {
    const pid_t self = ::getpid();
    return one == other || ::syscall(SYS_kcmp, self, self, KCMP_FILE, one, other) == 0;
}

bool is_dead(int notify_fd) noexcept {
    pollfd state{notify_fd, 0, 0};
    return ::poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLNVAL)) != 0;
}

Result<void> restart_interrupted_calls(const std::string& cgroup) {
    if (TRY(is_frozen(cgroup)))
        return {};
    auto frozen = freeze(cgroup, freeze_timeout);
    // Thawed in every case: a container that did not stop in time must not stop later.
    TRY_VOID(thaw(cgroup));
    return frozen;
}

} // namespace ctrd::activation

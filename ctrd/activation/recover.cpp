#include "ctrd/activation/recover.hpp"

#include "ctrd/base/deadline.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"

#include <dirent.h>
#include <fcntl.h>
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

bool says(const std::string& events, std::string_view line) {
    return ("\n" + events).contains("\n" + std::string{line} + "\n");
}

/// Until every process in the cgroup has stopped, or is gone: an empty cgroup counts as frozen.
Result<void> wait_frozen(int folder) {
    const UniqueFd events = TRY(open_at(folder, "cgroup.events", O_RDONLY));
    const Deadline deadline{freeze_timeout};
    for (;;) {
        if (::lseek(events.get(), 0, SEEK_SET) < 0)
            return fail(os_error(errno, "cannot read 'cgroup.events'"));
        if (says(TRY(read_all(events.get(), 4096)), "frozen 1"))
            return {};
        if (deadline.passed())
            return fail(os_error(ETIMEDOUT, "the cgroup did not freeze"));
        pollfd changed{events.get(), POLLPRI, 0};
        ::poll(&changed, 1, deadline.poll_timeout());
    }
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
    const std::string path = TRY(cgroup_mount()) + cgroup;
    const UniqueFd folder = TRY(open_at(AT_FDCWD, path, O_PATH | O_DIRECTORY));
    const UniqueFd freezer = TRY(open_at(folder.get(), "cgroup.freeze", O_RDONLY));
    if (TRY(read_all(freezer.get(), 64)).starts_with("1") || says(TRY(read_file(path + "/cgroup.events")), "frozen 1"))
        return {};
    TRY_VOID(write_control_at(folder.get(), "cgroup.freeze", "1").context("'" + path + "'"));
    auto frozen = wait_frozen(folder.get());
    // Thawed in every case: a container that did not stop in time must not stop later.
    TRY_VOID(write_control_at(folder.get(), "cgroup.freeze", "0").context("'" + path + "'"));
    return std::move(frozen).context("'" + path + "'");
}

} // namespace ctrd::activation

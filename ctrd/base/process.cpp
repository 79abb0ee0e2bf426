#include "ctrd/base/process.hpp"

#include "ctrd/base/file.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>

namespace ctrd {
namespace {

std::string proc_path(pid_t pid, std::string_view file) {
    return "/proc/" + std::to_string(pid) + "/" + std::string{file};
}

bool is_cgroup2(const char* path) {
    struct statfs fs {};
    return ::statfs(path, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

} // namespace

Result<UniqueFd> open_pidfd(pid_t pid) {
    UniqueFd fd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
    if (!fd)
        return fail(os_error(errno, "cannot open process " + std::to_string(pid)));
    return fd;
}

Result<pid_t> pid_of(int pidfd) {
    constexpr std::string_view key = "\nPid:\t";
    const std::string text = TRY(read_file("/proc/self/fdinfo/" + std::to_string(pidfd)));
    const auto at = text.find(key);
    if (at == std::string::npos)
        return fail(os_error(EBADF, "not a descriptor of a process"));
    pid_t pid = 0;
    std::from_chars(text.data() + at + key.size(), text.data() + text.size(), pid);
    return pid > 0 ? Result<pid_t>{pid} : fail(os_error(ESRCH, "the process of a descriptor"));
}

Result<void> send_signal(int pidfd, int signal) {
    if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) < 0)
        return fail(os_error(errno, "cannot send signal " + std::to_string(signal)));
    return {};
}

sigset_t forwardable_signals() {
    sigset_t set;
    ::sigfillset(&set);
    for (const int number : {SIGCHLD, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGPIPE, SIGTTOU, SIGTTIN})
        ::sigdelset(&set, number);
    return set;
}

Result<UniqueFd> steal_fd(int pidfd, int fd) {
    UniqueFd copy{static_cast<int>(::syscall(SYS_pidfd_getfd, pidfd, fd, 0))};
    if (!copy)
        return fail(os_error(errno, "cannot take file descriptor " + std::to_string(fd) + " of another process"));
    return copy;
}

Result<int> wait_exit(pid_t pid) {
    int status = 0;
    while (::waitpid(pid, &status, __WALL) < 0)
        if (errno != EINTR)
            return fail(os_error(errno, "cannot wait for process " + std::to_string(pid)));
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

Result<ProcessStat> process_stat(pid_t pid) {
    const std::string text = TRY(read_file(proc_path(pid, "stat")));
    ProcessStat stat;
    // The second field is the command in parentheses and may hold anything; the last ')' ends it. The third is the
    // state, the 22nd the start time.
    std::size_t at = text.rfind(')');
    if (at != std::string::npos && at + 2 < text.size())
        stat.state = text[at + 2];
    for (int field = 2; field < 22 && at != std::string::npos; ++field)
        at = text.find(' ', at + 1);
    if (at == std::string::npos ||
        std::from_chars(text.data() + at + 1, text.data() + text.size(), stat.start_time).ec != std::errc{})
        return fail(os_error(EPROTO, "cannot read the start time of process " + std::to_string(pid)));
    return stat;
}

Result<std::uint64_t> start_time(pid_t pid) { return TRY(process_stat(pid)).start_time; }

bool is_host_root() noexcept {
    if (::geteuid() != 0)
        return false;
    // The initial user namespace maps every id to itself.
    const int fd = ::open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
    char text[64] = {};
    const ssize_t n = fd < 0 ? -1 : ::read(fd, text, sizeof text - 1);
    if (fd >= 0)
        ::close(fd);
    unsigned inside = 1;
    unsigned outside = 1;
    unsigned size = 0;
    return n > 0 && std::sscanf(text, "%u %u %u", &inside, &outside, &size) == 3 && inside == 0 && outside == 0 &&
           size == ~0U;
}

Result<std::string> cgroup_of(pid_t pid) {
    const std::string lines = TRY(read_file(proc_path(pid, "cgroup")));
    std::size_t at = lines.starts_with("0::") ? 0 : lines.find("\n0::");
    if (at == std::string::npos)
        return fail(bad_input("process " + std::to_string(pid) + " is in no cgroup of the unified hierarchy",
                              "ctrd needs cgroup v2 mounted"));
    at = lines.find("0::", at) + 3;
    return lines.substr(at, lines.find('\n', at) - at);
}

Result<std::string> cgroup_mount() {
    for (const char* path : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"})
        if (is_cgroup2(path))
            return std::string{path};
    return fail(
        bad_input("cgroup v2 is not mounted at /sys/fs/cgroup", "boot with systemd.unified_cgroup_hierarchy=1"));
}

Result<std::uint64_t> caught_signals(pid_t pid) {
    const std::string status = TRY(read_file(proc_path(pid, "status")));
    const std::size_t at = status.find("SigCgt:\t");
    std::uint64_t mask = 0;
    if (at == std::string::npos ||
        std::from_chars(status.data() + at + 8, status.data() + status.size(), mask, 16).ec != std::errc{})
        return fail(os_error(EPROTO, "cannot read the signal mask of process " + std::to_string(pid)));
    return mask;
}

} // namespace ctrd

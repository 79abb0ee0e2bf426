#include "ctrd/activation/listener.hpp"

#include "ctrd/activation/cgroup_pids.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>

namespace ctrd::activation {
namespace {

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};
using Dir = std::unique_ptr<DIR, CloseDir>;

Result<int> integer_option(int socket, int option) {
    int value = 0;
    socklen_t size = sizeof value;
    if (::getsockopt(socket, SOL_SOCKET, option, &value, &size) < 0)
        return fail(os_error(errno, "cannot look at a socket"));
    return value;
}

Error not_there(std::uint64_t inode, const std::string& where) {
    return os_error(ENOENT, "cannot find the listening socket " + std::to_string(inode) + " in " + where);
}

/// `kind`: as links in /proc have it.
Result<UniqueFd> take(pid_t pid, const std::string& kind, std::uint64_t inode) {
    const std::string process = "process " + std::to_string(pid);
    const std::string path = "/proc/" + std::to_string(pid) + "/fd";
    const UniqueFd pidfd = TRY(open_pidfd(pid));
    const Dir dir{::opendir(path.c_str())};
    if (!dir)
        return fail(os_error(errno, "cannot list the descriptors of " + process));
    const std::string wanted = kind + ":[" + std::to_string(inode) + "]";
    while (const dirent* entry = ::readdir(dir.get())) {
        char link[64];
        const ssize_t length = ::readlinkat(::dirfd(dir.get()), entry->d_name, link, sizeof link);
        if (length < 0 || std::string_view{link, static_cast<std::size_t>(length)} != wanted)
            continue;
        int number = -1;
        std::from_chars(entry->d_name, entry->d_name + std::char_traits<char>::length(entry->d_name), number);
        UniqueFd fd = TRY(steal_fd(pidfd.get(), number).context(process));
        // The process may have put something else there since we read the link.
        struct stat st {};
        if (::fstat(fd.get(), &st) == 0 && st.st_ino == inode)
            return fd;
    }
    return fail(not_there(inode, process));
}

} // namespace

bool SocketFacts::is_ip() const noexcept { return family == AF_INET || family == AF_INET6; }

Result<SocketFacts> look_at(int socket) {
    SocketFacts facts;
    struct stat st {};
    if (::fstat(socket, &st) < 0)
        return fail(os_error(errno, "cannot look at a socket"));
    if (!S_ISSOCK(st.st_mode))
        return fail(os_error(ENOTSOCK, "cannot look at a socket"));
    facts.inode = st.st_ino;
    facts.family = TRY(integer_option(socket, SO_DOMAIN));
    facts.type = TRY(integer_option(socket, SO_TYPE));
    facts.protocol = TRY(integer_option(socket, SO_PROTOCOL));
    facts.listening = TRY(integer_option(socket, SO_ACCEPTCONN)) != 0;
    return facts;
}

Result<void> restore_backlog(int listener, int backlog) {
    if (::listen(listener, backlog) < 0)
        return fail(os_error(errno, "cannot listen again on a socket"));
    return {};
}

Result<UniqueFd> take_socket_of(pid_t pid, std::uint64_t inode) { return take(pid, "socket", inode); }

Result<UniqueFd> take_pipe_of(pid_t pid, std::uint64_t inode) { return take(pid, "pipe", inode); }

Result<UniqueFd> take_listener(std::uint64_t inode, const std::string& cgroup) {
    auto from_manager = take_socket_of(1, inode);
    if (from_manager)
        return from_manager;
    // Its socket unit was stopped under the running container, or we may not look into PID 1.
    for (const pid_t pid : pids_in(TRY(cgroup_mount()) + cgroup))
        if (auto from_payload = take_socket_of(pid, inode); from_payload)
            return from_payload;
    return fail(std::move(from_manager).error());
}

} // namespace ctrd::activation

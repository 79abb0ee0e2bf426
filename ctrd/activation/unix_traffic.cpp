#include "ctrd/activation/unix_traffic.hpp"

#include "ctrd/activation/cgroup_pids.hpp"
#include "ctrd/activation/listener.hpp"
#include "ctrd/base/process.hpp"

#include <dirent.h>
#include <poll.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <memory>
#include <set>
#include <string_view>

namespace ctrd::activation {
namespace {

using Names = std::set<std::string>;

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

/// What it is bound to; of an accepted connection, what its listener is bound to. Empty: nothing.
std::string name_of(int socket) {
    sockaddr_un address{};
    socklen_t size = sizeof address;
    if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) < 0 || address.sun_family != AF_UNIX)
        return {};
    return {address.sun_path, size - offsetof(sockaddr_un, sun_path)};
}

bool is_connection_to(const Names& names, int socket) {
    const auto facts = look_at(socket);
    return facts && facts->family == AF_UNIX && facts->type == SOCK_STREAM && !facts->listening &&
           names.contains(name_of(socket));
}

/// The numbers of a process' descriptors that are sockets. One that has gone has none.
Result<std::vector<int>> sockets_of(pid_t pid) {
    const std::string path = "/proc/" + std::to_string(pid) + "/fd";
    const std::unique_ptr<DIR, CloseDir> dir{::opendir(path.c_str())};
    if (!dir)
        return errno == ENOENT || errno == ESRCH ? Result<std::vector<int>>{std::vector<int>{}}
                                                 : fail(os_error(errno, "cannot list '" + path + "'"));
    std::vector<int> numbers;
    while (const dirent* entry = ::readdir(dir.get())) {
        char link[64];
        const ssize_t length = ::readlinkat(::dirfd(dir.get()), entry->d_name, link, sizeof link);
        int number = -1;
        const std::string_view name{entry->d_name};
        if (length > 0 && std::string_view{link, static_cast<std::size_t>(length)}.starts_with("socket:[") &&
            std::from_chars(name.data(), name.data() + name.size(), number).ec == std::errc{})
            numbers.push_back(number);
    }
    return numbers;
}

Result<unsigned> connections_of(pid_t pid, const Names& names) {
    const auto pidfd = open_pidfd(pid);
    if (!pidfd)
        return 0U; // it has ended
    unsigned count = 0;
    for (const int number : TRY(sockets_of(pid))) {
        const auto socket = steal_fd(pidfd->get(), number);
        if (!socket && socket.error().code == std::errc::operation_not_permitted)
            return fail(socket.error());
        count += socket && is_connection_to(names, socket->get()) ? 1 : 0; // else it is closed by now
    }
    return count;
}

bool is_waiting(int listener) {
    pollfd queue{listener, POLLIN, 0};
    return ::poll(&queue, 1, 0) > 0 && (queue.revents & POLLIN) != 0;
}

} // namespace

bool is_unix_stream(const RecordedSocket& socket) noexcept {
    return socket.family == AF_UNIX && socket.type == SOCK_STREAM;
}

Result<OpenConnections> open_unix_connections(const RunRecord& record) {
    OpenConnections open;
    Names names;
    for (const RecordedSocket& socket : record.sockets) {
        if (!is_unix_stream(socket))
            continue;
        const UniqueFd listener = TRY(take_listener(socket.inode, record.cgroup));
        names.insert(name_of(listener.get()));
        open.queued += is_waiting(listener.get()) ? 1 : 0; // the kernel does not say how many
    }
    if (names.empty())
        return open;
    for (const pid_t pid : pids_in(TRY(cgroup_mount()) + record.cgroup))
        open.accepted += TRY(connections_of(pid, names));
    return open;
}

} // namespace ctrd::activation

#include "ctrd/base/notify.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace ctrd {

Result<Notifier> Notifier::from_environment() {
    Notifier notifier;
    const char* path = std::getenv("NOTIFY_SOCKET");
    if (path == nullptr)
        return notifier;
    const std::size_t length = std::strlen(path);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if ((path[0] != '/' && path[0] != '@') || length >= sizeof address.sun_path)
        return fail(bad_input("$NOTIFY_SOCKET is neither a path nor an abstract socket: '" + std::string{path} + "'"));
    std::memcpy(address.sun_path, path, length);
    if (path[0] == '@')
        address.sun_path[0] = '\0';
    notifier.socket_ = UniqueFd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
    if (!notifier.socket_ || ::connect(notifier.socket_.get(), reinterpret_cast<const sockaddr*>(&address), size) < 0)
        return fail(os_error(errno, "cannot connect to $NOTIFY_SOCKET '" + std::string{path} + "'"));
    ::unsetenv("NOTIFY_SOCKET");
    return notifier;
}

Result<void> Notifier::send(std::string_view state, std::span<const int> fds) const {
    if (!active())
        return {};
    return send_fds(socket_.get(), state, fds).context("service manager");
}

Result<void> Notifier::barrier(std::chrono::milliseconds timeout) const {
    if (!active())
        return {};
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0)
        return fail(os_error(errno, "cannot make a pipe"));
    const UniqueFd read_end{ends[0]};
    {
        const UniqueFd write_end{ends[1]};
        const int fds[] = {write_end.get()};
        TRY_VOID(send("BARRIER=1", fds));
    }
    // The manager closes its copy of the write end when it gets to the message: that is the hang-up.
    pollfd waiting{read_end.get(), 0, 0};
    const int n = ::poll(&waiting, 1, static_cast<int>(timeout.count()));
    if (n < 0)
        return fail(os_error(errno, "cannot wait for the service manager"));
    if (n == 0)
        return fail(os_error(ETIMEDOUT, "the service manager did not answer"));
    return {};
}

} // namespace ctrd

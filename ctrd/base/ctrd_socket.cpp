#include "ctrd/base/ctrd_socket.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace ctrd {
namespace {

constexpr const char* lock_path = "/run/ctrd/running";

} // namespace

Result<UniqueFd> connect_to_ctrd() {
    UniqueFd socket{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, ctrd_socket_path);
    if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        return fail(os_error(errno, "cannot connect to '" + std::string{ctrd_socket_path} + "'",
                             "is ctrd-handover.socket active?"));
    return socket;
}

Result<UniqueFd> hold_running_lock() {
    UniqueFd lock{::open(lock_path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)};
    if (!lock || ::flock(lock.get(), LOCK_EX | LOCK_NB) < 0)
        return fail(os_error(errno, "cannot lock '" + std::string{lock_path} + "'"));
    return lock;
}

bool is_ctrd_running() noexcept {
    const UniqueFd lock{::open(lock_path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)};
    return lock && ::flock(lock.get(), LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

} // namespace ctrd

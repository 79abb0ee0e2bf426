#include "ctrd/base/ctrd_socket.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace ctrd {

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

} // namespace ctrd

#include "tools/ctr-oci/unix_socket.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace ctrd::ctr_oci {

Result<UniqueFd> connect_unix(const std::string& path, int type, const std::string& what) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(os_error(ENAMETOOLONG, what + " '" + path + "'"));
    std::memcpy(address.sun_path, path.c_str(), path.size());
    UniqueFd socket{::socket(AF_UNIX, type | SOCK_CLOEXEC, 0)};
    if (!socket || ::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
        return fail(os_error(errno, "cannot connect to " + what + " '" + path + "'"));
    return socket;
}

Result<PidfdSocket> PidfdSocket::connect(const std::string& path) {
    return PidfdSocket{path.empty() ? UniqueFd{} : TRY(connect_unix(path, SOCK_STREAM, "--pidfd-socket"))};
}

Result<void> PidfdSocket::send(int pidfd) const {
    if (!socket_)
        return {};
    const int fds[] = {pidfd};
    return send_fds(socket_.get(), "pidfd", fds).context("--pidfd-socket");
}

} // namespace ctrd::ctr_oci

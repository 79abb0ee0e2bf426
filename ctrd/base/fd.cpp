#include "ctrd/base/fd.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstring>

namespace ctrd {
namespace {

constexpr std::size_t max_fds = 16;

union ControlBuffer {
    cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * max_fds)];
};

} // namespace

Result<UniqueFd> dup(int fd) {
    UniqueFd copy{::fcntl(fd, F_DUPFD_CLOEXEC, 3)};
    if (!copy)
        return fail(os_error(errno, "cannot duplicate a file descriptor"));
    return copy;
}

Result<SocketPair> make_socket_pair() {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return fail(os_error(errno, "cannot make a socket pair"));
    return SocketPair{UniqueFd{pair[0]}, UniqueFd{pair[1]}};
}

Result<UniqueFd> make_memfd(const char* name, std::string_view data) {
    UniqueFd fd{::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (!fd)
        return fail(os_error(errno, "cannot make an anonymous file"));
    while (!data.empty()) {
        const ssize_t n = ::write(fd.get(), data.data(), data.size());
        if (n < 0)
            return fail(os_error(errno, "cannot fill an anonymous file"));
        data.remove_prefix(static_cast<std::size_t>(n));
    }
    if (::lseek(fd.get(), 0, SEEK_SET) < 0 ||
        ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        return fail(os_error(errno, "cannot seal an anonymous file"));
    return fd;
}

Result<void> send_fds(int socket, std::string_view data, std::span<const int> fds) {
    if (fds.size() > max_fds)
        return fail(bad_input("too many file descriptors for one message"));
    iovec part{const_cast<char*>(data.data()), data.size()};
    ControlBuffer control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(fds.size_bytes());
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
    }
    ssize_t n = -1;
    do
        n = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return fail(os_error(errno, "cannot send a message"));
    return {};
}

Result<FdMessage> receive_fds(int socket, std::size_t limit, int flags) {
    FdMessage result;
    result.data.resize(limit);
    iovec part{result.data.data(), limit};
    ControlBuffer control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    // A peer that ended without reading all that we have sent resets the connection, which is said before what it has
    // sent us: that comes, or the end does, the next time.
    ssize_t n = -1;
    do
        n = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | flags);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n < 0)
        return fail(os_error(errno, "cannot receive a message"));
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        int fds[max_fds];
        std::memcpy(fds, CMSG_DATA(header), count * sizeof(int));
        for (std::size_t i = 0; i < count; ++i)
            result.fds.emplace_back(fds[i]);
    }
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        return fail(os_error(EMSGSIZE, "cannot receive a message"));
    result.data.resize(static_cast<std::size_t>(n));
    return result;
}

void close_on_exec_from(unsigned first) noexcept { ::syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC); }

} // namespace ctrd

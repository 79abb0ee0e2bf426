#include "ctrd/activation/request.hpp"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace ctrd::activation {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t socketcall_arch = AUDIT_ARCH_I386;
#elif defined(__aarch64__)
constexpr std::uint32_t socketcall_arch = AUDIT_ARCH_ARM;
#endif
constexpr int socketcall_number = 102;

/// The kernel may know longer structures than our headers; it writes as much as it knows.
struct NotifSizes {
    std::size_t request{0};
    std::size_t response{0};
};

const NotifSizes& notif_sizes() {
    static const NotifSizes sizes = [] {
        seccomp_notif_sizes kernel{};
        if (::syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &kernel) < 0)
            return NotifSizes{sizeof(seccomp_notif), sizeof(seccomp_notif_resp)};
        return NotifSizes{std::max<std::size_t>(kernel.seccomp_notif, sizeof(seccomp_notif)),
                          std::max<std::size_t>(kernel.seccomp_notif_resp, sizeof(seccomp_notif_resp))};
    }();
    return sizes;
}

/// False where not all of it can be read: the kernel's own bind will say what is wrong with the address.
bool read_memory(pid_t thread, std::uint64_t address, void* to, std::size_t size) {
    iovec local{to, size};
    iovec remote{reinterpret_cast<void*>(address), size}; // NOLINT(performance-no-int-to-ptr): another process's
    return ::process_vm_readv(thread, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

struct BindArguments {
    int fd{-1};
    std::uint64_t address{0};
    std::uint32_t length{0};
};

std::optional<BindArguments> arguments_of(pid_t thread, const seccomp_data& data) {
    if (data.arch != socketcall_arch || data.nr != socketcall_number)
        return BindArguments{static_cast<int>(data.args[0]), data.args[1], static_cast<std::uint32_t>(data.args[2])};
    std::uint32_t words[3]; // fd, address, length, as a 32-bit program lays them out
    if (!read_memory(thread, data.args[1], words, sizeof words))
        return std::nullopt;
    return BindArguments{static_cast<int>(words[0]), words[1], words[2]};
}

union Address {
    sockaddr any;
    sockaddr_in four;
    sockaddr_in6 six;
    sockaddr_un local;
};

/// What the caller wants to bind, as far as it can be adopted.
void decode(BindRequest& request, const seccomp_data& data) {
    const auto arguments = arguments_of(request.thread, data);
    if (!arguments || arguments->length <= offsetof(sockaddr_un, sun_path))
        return;
    request.fd = arguments->fd;
    Address address{};
    const std::size_t size = std::min<std::size_t>(arguments->length, sizeof address);
    if (!read_memory(request.thread, arguments->address, &address, size))
        return;
    // The kernel takes an all-zero family for IPv4, where the address is zero as well.
    if (address.any.sa_family == AF_UNSPEC && size >= sizeof address.four && address.four.sin_addr.s_addr == INADDR_ANY)
        address.any.sa_family = AF_INET;
    const bool is_ip = address.any.sa_family == AF_INET || address.any.sa_family == AF_INET6;
    if (is_ip && size >= sizeof address.four) {
        static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
        request.port = ntohs(address.four.sin_port);
        request.family = address.any.sa_family;
    } else if (address.any.sa_family == AF_UNIX && address.local.sun_path[0] != '\0') {
        const std::size_t longest = size - offsetof(sockaddr_un, sun_path);
        request.path.assign(address.local.sun_path, ::strnlen(address.local.sun_path, longest));
        request.family = AF_UNIX;
    }
}

Result<void> send_response(int notify_fd, seccomp_notif_resp response) {
    std::vector<char> buffer(notif_sizes().response);
    std::memcpy(buffer.data(), &response, sizeof response);
    if (::ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_SEND, buffer.data()) < 0 && errno != ENOENT)
        return fail(os_error(errno, "cannot answer a bind"));
    return {};
}

} // namespace

std::string what_is_bound(const BindRequest& request) {
    return request.family == AF_UNIX ? "'" + printable(request.path) + "'" : "port " + std::to_string(request.port);
}

Result<std::optional<BindRequest>> receive_bind(int notify_fd) {
    // The ioctl waits where there is nothing, whatever O_NONBLOCK says.
    pollfd ready{notify_fd, POLLIN, 0};
    if (::poll(&ready, 1, 0) <= 0 || (ready.revents & POLLIN) == 0)
        return std::nullopt;
    std::vector<char> buffer(notif_sizes().request); // the kernel wants it zeroed
    while (::ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_RECV, buffer.data()) < 0) {
        if (errno == ENOENT)
            return std::nullopt;
        if (errno != EINTR)
            return fail(os_error(errno, "cannot receive a bind"));
    }
    seccomp_notif notification{};
    std::memcpy(&notification, buffer.data(), sizeof notification);
    BindRequest request;
    request.id = notification.id;
    request.thread = static_cast<pid_t>(notification.pid);
    if (request.thread > 0)
        decode(request, notification.data);
    return request;
}

bool still_waits(int notify_fd, const BindRequest& request) {
    std::uint64_t id = request.id;
    return ::ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

Result<void> let_continue(int notify_fd, const BindRequest& request) {
    return send_response(notify_fd, {request.id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE});
}

Result<void> reply(int notify_fd, const BindRequest& request, int error) {
    return send_response(notify_fd, {request.id, error == 0 ? 0 : -1, -error, 0});
}

} // namespace ctrd::activation

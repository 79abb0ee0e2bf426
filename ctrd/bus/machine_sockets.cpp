#include "ctrd/bus/machine_sockets.hpp"

#include "ctrd/base/names.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/bus/stored_descriptors.hpp"
#include "machined-plugin/machine_socket.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

namespace ctrd::bus {
namespace {

/// 0: the sender is in no pid namespace of ours, or the kernel did not say.
pid_t sender_of(int connection) {
    char byte = 0;
    iovec part{&byte, sizeof byte};
    // Descriptors that come with it are not taken: with no room for them the kernel closes its copies.
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (::recvmsg(connection, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
        return 0;
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header == nullptr || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_CREDENTIALS)
        return 0;
    ucred sender{};
    std::memcpy(&sender, CMSG_DATA(header), sizeof sender);
    return sender.pid;
}

} // namespace

std::string container_of_socket(int fd) {
    int listening = 0;
    socklen_t size = sizeof listening;
    sockaddr_un address{};
    socklen_t length = sizeof address;
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || listening == 0 ||
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) < 0 || address.sun_family != AF_UNIX ||
        length <= offsetof(sockaddr_un, sun_path))
        return {};
    const std::size_t longest = length - offsetof(sockaddr_un, sun_path);
    const auto name = systemd::container_of_machine_socket({address.sun_path, ::strnlen(address.sun_path, longest)});
    return is_container_name(name) ? name : std::string{};
}

Result<std::vector<UniqueFd>> take_machine_sockets_from(pid_t pid) {
    return take_descriptors_from(
        pid, [](std::string_view link) { return link.starts_with("socket:"); },
        [](int fd) { return !container_of_socket(fd).empty(); });
}

bool is_machined_cgroup(std::string_view cgroup) {
    constexpr std::string_view unit = "/systemd-machined.service";
    if (!cgroup.ends_with(unit))
        return false;
    std::string_view above = cgroup.substr(0, cgroup.size() - unit.size());
    while (!above.empty()) {
        if (!above.ends_with(".slice"))
            return false;
        above = above.substr(0, above.rfind('/'));
    }
    return true;
}

bool is_from_machined(int connection) {
    const pid_t sender = sender_of(connection);
    const auto cgroup = sender > 0 ? cgroup_of(sender) : Result<std::string>{};
    return cgroup && is_machined_cgroup(*cgroup);
}

} // namespace ctrd::bus

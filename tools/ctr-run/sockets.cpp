#include "tools/ctr-run/sockets.hpp"

#include "ctrd/activation/guard.hpp"
#include "ctrd/activation/listener.hpp"
#include "tools/ctr-run/address.hpp"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace ctrd::run {
namespace {

using activation::ListenFd;

bool has_type(const DeclaredSocket& wanted, int fd) {
    const auto facts = activation::look_at(fd);
    return facts && (facts->type == SOCK_DGRAM) == wanted.datagram;
}

/// By address and type, since one unit has one FileDescriptorName for all its sockets; by name where the address was
/// changed in the unit and the name is unique.
std::vector<ListenFd>::iterator find(const DeclaredSocket& wanted, std::vector<ListenFd>& handed) {
    const auto by_address = std::ranges::find_if(handed, [&](const ListenFd& one) {
        return one.fd && is_bound_to(one.fd.get(), wanted.listen) && has_type(wanted, one.fd.get());
    });
    if (by_address != handed.end())
        return by_address;
    const auto has_name = [&](const ListenFd& one) {
        return one.fd && one.name == wanted.name && activation::look_at(one.fd.get());
    };
    return std::ranges::count_if(handed, has_name) == 1 ? std::ranges::find_if(handed, has_name) : handed.end();
}

std::string words(const DeclaredSocket& socket) { return "socket '" + socket.name + "' ('" + socket.listen + "')"; }

Result<void> check_adoptable(const DeclaredSocket& declared, const activation::SocketFacts& facts) {
    if (facts.is_ip() || (facts.family == AF_UNIX && facts.type == SOCK_STREAM))
        return {};
    return fail(
        bad_input(words(declared) + " can't be adopted or proxied: it is neither TCP, UDP nor a UNIX stream socket",
                  "use deliver = \"pass\""));
}

/// 0 for a socket that is not IP.
std::uint16_t ip_port(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) < 0 ||
        (address.ss_family != AF_INET && address.ss_family != AF_INET6))
        return 0;
    return ntohs(reinterpret_cast<const sockaddr_in*>(&address)->sin_port); // at the same place in both families
}

} // namespace

Result<Sockets> Sockets::match(const std::vector<DeclaredSocket>& declared, std::vector<ListenFd> handed,
                               std::span<const std::string> fall_back) {
    Sockets sockets;
    for (DeclaredSocket wanted : declared) {
        const bool automatic = wanted.deliver == Deliver::automatic;
        if (automatic)
            wanted.deliver =
                std::ranges::find(fall_back, wanted.name) != fall_back.end() ? Deliver::proxy : Deliver::adopt;
        const auto found = find(wanted, handed);
        if (found == handed.end())
            return fail(
                bad_input(words(wanted) + " was not handed over by the service manager",
                          "is the container's socket unit active, and was it restarted after the last change?"));
        const auto facts = TRY(activation::look_at(found->fd.get()).context(words(wanted)));
        if (wanted.deliver == Deliver::proxy)
            TRY_VOID(check_adoptable(wanted, facts));
        if (wanted.deliver == Deliver::adopt) {
            TRY_VOID(check_adoptable(wanted, facts));
            const bool has_path = facts.family == AF_UNIX;
            sockets.listeners_.push_back(
                {has_path ? std::uint16_t{0} : wanted.port, facts.family, facts.type, has_path ? wanted.path : ""});
            sockets.adopted_.push_back(sockets.sockets_.size());
        }
        sockets.sockets_.push_back(
            {wanted, std::move(found->fd), facts.inode, facts.family, facts.type == SOCK_STREAM, automatic});
    }
    return sockets;
}

Result<std::uint64_t> Sockets::make_safe(const std::string& socket_unit) const {
    std::vector<int> fds;
    for (const Socket& socket : sockets_)
        fds.push_back(socket.fd.get());
    const std::uint64_t cgroup = TRY(activation::guard_listeners(fds, socket_unit));
    for (const Socket& socket : sockets_)
        if (socket.stream)
            TRY_VOID(activation::restore_backlog(socket.fd.get(),
                                                 socket.declared.backlog.value_or(activation::longest_backlog))
                         .context(words(socket.declared)));
    return cgroup;
}

Result<void> Sockets::await_connection(int pidfd) const {
    std::vector<pollfd> waiting{{pidfd, POLLIN, 0}};
    for (const Socket& socket : sockets_)
        waiting.push_back({socket.fd.get(), POLLIN, 0});
    while (::poll(waiting.data(), waiting.size(), -1) < 0)
        if (errno != EINTR)
            return fail(os_error(errno, "cannot wait for a connection"));
    if (waiting.front().revents != 0)
        return fail(Error{std::errc::no_child_process, "it was ended before anybody connected", ""});
    return {};
}

std::vector<int> Sockets::all() const {
    std::vector<int> fds;
    for (const Socket& socket : sockets_)
        fds.push_back(socket.fd.get());
    return fds;
}

std::vector<int> Sockets::passed() const {
    std::vector<int> fds;
    for (const Socket& socket : sockets_)
        if (socket.declared.deliver == Deliver::pass)
            fds.push_back(socket.fd.get());
    return fds;
}

std::string Sockets::passed_names() const {
    std::string names;
    for (const Socket& socket : sockets_)
        if (socket.declared.deliver == Deliver::pass)
            names += (names.empty() ? "" : ":") + socket.declared.name;
    return names;
}

Result<UniqueFd> Sockets::open_listener(std::size_t index) const {
    return dup(sockets_.at(adopted_.at(index)).fd.get());
}

void Sockets::restore_backlogs() const {
    for (const std::size_t index : adopted_) {
        const Socket& socket = sockets_[index];
        if (!socket.stream)
            continue;
        [[maybe_unused]] auto restored =
            activation::restore_backlog(socket.fd.get(), socket.declared.backlog.value_or(activation::longest_backlog));
    }
}

Route Sockets::route_of(std::size_t number) const {
    const Socket& socket = sockets_.at(number);
    return {number,          !socket.stream,       socket.declared.of_range,
            socket.fd.get(), socket.declared.port, socket.declared.path};
}

std::vector<activation::PortName> Sockets::port_names() const {
    std::vector<activation::PortName> names;
    for (const Socket& socket : sockets_) {
        const bool is_adopted = socket.declared.deliver == Deliver::adopt && !socket.declared.of_range;
        const std::uint16_t host_port = is_adopted ? ip_port(socket.fd.get()) : std::uint16_t{0};
        if (host_port != 0 && host_port != socket.declared.port)
            names.push_back({host_port, socket.declared.port});
    }
    return names;
}

std::vector<Route> Sockets::proxied() const {
    std::vector<Route> routes;
    for (std::size_t i = 0; i < sockets_.size(); ++i)
        if (sockets_[i].declared.deliver == Deliver::proxy)
            routes.push_back(route_of(i));
    return routes;
}

std::vector<std::string> Sockets::fallen_back() const {
    std::vector<std::string> names;
    for (const Socket& one : sockets_)
        if (one.automatic && one.declared.deliver == Deliver::proxy)
            names.push_back(one.declared.name);
    return names;
}

std::vector<activation::RecordedSocket> Sockets::recorded() const {
    std::vector<activation::RecordedSocket> result;
    for (const Socket& socket : sockets_) {
        const bool adopt = socket.declared.deliver == Deliver::adopt;
        const bool proxy = socket.declared.deliver == Deliver::proxy;
        result.push_back({socket.declared.name,
                          adopt   ? "adopt"
                          : proxy ? "proxy"
                                  : "pass",
                          socket.inode, socket.family, adopt ? socket.declared.port : std::uint16_t{0},
                          socket.stream ? ip_port(socket.fd.get()) : std::uint16_t{0},
                          socket.stream ? SOCK_STREAM : SOCK_DGRAM, adopt ? socket.declared.path : ""});
    }
    return result;
}

} // namespace ctrd::run

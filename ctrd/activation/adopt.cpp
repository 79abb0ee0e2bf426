#include "ctrd/activation/adopt.hpp"

#include "ctrd/activation/carry_over.hpp"
#include "ctrd/activation/epoll_sets.hpp"
#include "ctrd/activation/socket_file.hpp"
#include "ctrd/base/process.hpp"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

namespace ctrd::activation {
namespace {

bool is_bound(const Caller& caller) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(caller.socket.get(), reinterpret_cast<sockaddr*>(&address), &size) < 0)
        return true;
    if (caller.facts.family == AF_UNIX)
        return size > offsetof(sockaddr_un, sun_path);
    return reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port != 0; // at the same place in both families
}

/// MPTCP too: newer Go makes every listener one, and it works with TCP clients all the same.
bool has_known_protocol(const SocketFacts& facts) {
    if (facts.family == AF_UNIX)
        return facts.type == SOCK_STREAM;
    if (facts.type == SOCK_DGRAM)
        return facts.is_ip() && facts.protocol == IPPROTO_UDP;
    return facts.is_ip() && facts.type == SOCK_STREAM &&
           (facts.protocol == IPPROTO_TCP || facts.protocol == IPPROTO_MPTCP);
}

Result<void> put_in_place(int notify_fd, const BindRequest& request, int place, int socket, bool close_on_exec) {
    seccomp_notif_addfd add{};
    add.id = request.id;
    add.flags = SECCOMP_ADDFD_FLAG_SETFD;
    add.srcfd = static_cast<std::uint32_t>(socket);
    add.newfd = static_cast<std::uint32_t>(place);
    add.newfd_flags = close_on_exec ? O_CLOEXEC : 0;
    while (::ioctl(notify_fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0)
        if (errno != EINTR)
            return fail(
                os_error(errno, "cannot put a socket in place of the payload's descriptor " + std::to_string(place)));
    return {};
}

/// A number that is no descriptor, or not a socket's: the kernel's own bind says so best.
bool is_callers_mistake(const Error& error) {
    return error.code == std::errc::bad_file_descriptor || error.code == std::errc::not_a_socket;
}

struct Step {
    bool done{false}; // else the kernel shall do the bind
    std::size_t listener{0};
    int refusal{0}; // the errno of a bind that can't be done
    std::optional<Displaced> displaced{};
};

/// Only a path has to be looked at before it can be compared.
Result<BindRequest> comparable(const BindRequest& request) {
    BindRequest result = request;
    if (request.family == AF_UNIX)
        result.path = TRY(absolute_path(request));
    return result;
}

Result<void> exchange(int notify_fd, const BindRequest& request, const Caller& caller, int listener) {
    // While its own socket is in its place, since they are found by that.
    const auto entries = find_epoll_entries(request.thread, caller.pidfd.get(), request.fd, caller.facts.inode);
    TRY_VOID(carry_over(caller, listener));
    TRY_VOID(put_in_place(notify_fd, request, request.fd, listener, caller.close_on_exec));
    if (!entries)
        return fail(entries.error());
    for (const EpollEntry& entry : *entries)
        TRY_VOID(enter(entry, listener, request.fd));
    return {};
}

Result<Step> adopt(int notify_fd, const BindRequest& raw, std::span<const Listener> listeners,
                   const ListenerSource& source) {
    auto caller = look_at_caller(raw);
    if (!caller && is_callers_mistake(caller.error()))
        return Step{};
    if (!caller)
        return fail(std::move(caller).error());
    const BindRequest request = TRY(comparable(raw));
    // Only now is it sure that what we looked at was the caller's and not a later process's with its number.
    if (!still_waits(notify_fd, request))
        return fail(os_error(ESRCH, "the caller is gone"));
    const auto index = match(request, listeners, caller->facts.type);
    if (!index)
        return Step{};
    const UniqueFd listener = TRY(source(*index));
    const SocketFacts facts = TRY(look_at(listener.get()));
    // A signal, or a freeze, between the exchange and our answer makes the kernel restart the call: it is done.
    if (facts.inode == caller->facts.inode)
        return Step{true, *index};
    if (!has_known_protocol(caller->facts) || is_bound(*caller))
        return Step{};
    // It has bound the listener's own family before: this one's clients are others, and none of them can come.
    const bool other_family = caller->facts.family != facts.family;
    if (other_family && take_socket_of(request.thread, facts.inode))
        return Step{};
    if (request.family == AF_UNIX)
        if (auto made = make_socket_file(notify_fd, request, request.path); !made)
            return Step{false, *index, static_cast<int>(made.error().code)};
    TRY_VOID(exchange(notify_fd, request, *caller, listener.get()));
    Step step{true, *index};
    if (other_family && facts.type == SOCK_STREAM)
        step.displaced = Displaced{std::move(caller->socket), request.fd, caller->close_on_exec};
    return step;
}

sockaddr_storage any_address(int family, std::uint16_t port) {
    sockaddr_storage address{};
    address.ss_family = static_cast<sa_family_t>(family);
    if (family == AF_INET)
        reinterpret_cast<sockaddr_in&>(address).sin_port = htons(port);
    else
        reinterpret_cast<sockaddr_in6&>(address).sin6_port = htons(port);
    return address;
}

/// Whether there is anything to look at the caller for.
bool may_match(const BindRequest& request, std::span<const Listener> listeners) {
    if (request.family == AF_UNIX)
        return std::ranges::any_of(listeners, [](const Listener& one) { return !one.path.empty(); });
    return match(request, listeners, SOCK_STREAM) || match(request, listeners, SOCK_DGRAM);
}

} // namespace

std::optional<std::size_t> match(const BindRequest& request, std::span<const Listener> listeners, int type) {
    std::optional<std::size_t> other_family;
    for (std::size_t i = 0; i < listeners.size(); ++i) {
        const Listener& one = listeners[i];
        if (one.type != type || (one.family == AF_UNIX) != (request.family == AF_UNIX))
            continue;
        if (request.family == AF_UNIX ? one.path != request.path || request.path.empty()
                                      : one.port != request.port || request.port == 0)
            continue;
        if (one.family == request.family)
            return i;
        if (!other_family && (request.family == AF_INET || request.family == AF_INET6))
            other_family = i;
    }
    return other_family;
}

Result<int> type_of(const BindRequest& request) {
    const UniqueFd caller = TRY(open_caller(request.thread));
    const UniqueFd socket = TRY(steal_fd(caller.get(), request.fd));
    return TRY(look_at(socket.get())).type;
}

Result<Answer> answer_bind(int notify_fd, const BindRequest& request, std::span<const Listener> listeners,
                           const ListenerSource& source) {
    if (!may_match(request, listeners)) {
        TRY_VOID(let_continue(notify_fd, request));
        return Answer{Outcome::continued};
    }
    auto step = adopt(notify_fd, request, listeners, source);
    // Whatever failed because the caller went away is no failure of ours.
    if (!step && !still_waits(notify_fd, request))
        return Answer{Outcome::gone};
    if (!step) {
        TRY_VOID(reply(notify_fd, request, EADDRNOTAVAIL));
        return fail(std::move(step).error());
    }
    if (!step->done) {
        TRY_VOID(step->refusal == 0 ? let_continue(notify_fd, request) : reply(notify_fd, request, step->refusal));
        return Answer{Outcome::continued};
    }
    TRY_VOID(reply(notify_fd, request, 0));
    return Answer{Outcome::adopted, step->listener, std::move(step->displaced)};
}

Result<void> put_back(int notify_fd, const BindRequest& request, const Displaced& displaced,
                      std::uint64_t listener_inode, std::uint16_t port) {
    const UniqueFd caller = TRY(open_caller(request.thread));
    const auto there = steal_fd(caller.get(), displaced.fd);
    const auto facts = there ? look_at(there->get()) : Result<SocketFacts>{};
    if (!there || !facts || facts->inode != listener_inode || !still_waits(notify_fd, request))
        return {}; // closed, or something else by now
    const sockaddr_storage address = any_address(TRY(look_at(displaced.socket.get())).family, port);
    // A socket belongs to the network namespace in which it was made: this binds in the container's.
    if (::bind(displaced.socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
        ::listen(displaced.socket.get(), SOMAXCONN) < 0)
        return fail(os_error(errno, "cannot give the payload's own socket back to it"));
    const auto entries = TRY(find_epoll_entries(request.thread, caller.get(), displaced.fd, listener_inode));
    for (const EpollEntry& entry : entries)
        TRY_VOID(leave(entry, there->get(), displaced.fd));
    TRY_VOID(put_in_place(notify_fd, request, displaced.fd, displaced.socket.get(), displaced.close_on_exec));
    for (const EpollEntry& entry : entries)
        TRY_VOID(enter(entry, displaced.socket.get(), displaced.fd));
    return {};
}

} // namespace ctrd::activation

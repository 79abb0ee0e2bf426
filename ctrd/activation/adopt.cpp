#include "ctrd/activation/adopt.hpp"

#include "ctrd/activation/listener.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <charconv>

namespace ctrd::activation {
namespace {

constexpr unsigned pidfd_thread = O_EXCL; // PIDFD_THREAD, kernel 6.9

/// The number after `key` on its line of a /proc file; nothing where it is not there.
std::optional<unsigned> field(const std::string& text, std::string_view key, int base) {
    const std::size_t at = text.find(key);
    if (at == std::string::npos)
        return std::nullopt;
    const std::size_t digits = text.find_first_not_of(" \t", at + key.size());
    unsigned value = 0;
    if (digits == std::string::npos ||
        std::from_chars(text.data() + digits, text.data() + text.size(), value, base).ec != std::errc{})
        return std::nullopt;
    return value;
}

/// A pidfd that leads to the thread's descriptors. A thread that does not lead its process has none before 6.9; its
/// process's serves, since threads share their descriptors in all but the oddest programs.
Result<UniqueFd> open_caller(pid_t thread) {
    for (const unsigned flags : {0U, pidfd_thread}) {
        UniqueFd fd{static_cast<int>(::syscall(SYS_pidfd_open, thread, flags))};
        if (fd)
            return fd;
        if (errno == ESRCH)
            return fail(os_error(ESRCH, "cannot open thread " + std::to_string(thread)));
    }
    const std::string status = TRY(read_file("/proc/" + std::to_string(thread) + "/status"));
    const auto process = field(status, "\nTgid:", 10);
    if (!process)
        return fail(os_error(EPROTO, "cannot tell the process of thread " + std::to_string(thread)));
    return open_pidfd(static_cast<pid_t>(*process));
}

/// What the payload made of its descriptor before it bound it.
struct PayloadSocket {
    UniqueFd fd;
    SocketFacts facts{};
    bool nonblocking{false};
    bool close_on_exec{false};
};

Result<PayloadSocket> look_at_payload_socket(const BindRequest& request) {
    PayloadSocket socket;
    const UniqueFd caller = TRY(open_caller(request.thread));
    socket.fd = TRY(steal_fd(caller.get(), request.fd));
    socket.facts = TRY(look_at(socket.fd.get()));
    const int flags = ::fcntl(socket.fd.get(), F_GETFL);
    if (flags < 0)
        return fail(os_error(errno, "cannot look at the payload's socket"));
    socket.nonblocking = (flags & O_NONBLOCK) != 0;
    const std::string info =
        TRY(read_file("/proc/" + std::to_string(request.thread) + "/fdinfo/" + std::to_string(request.fd)));
    socket.close_on_exec = (field(info, "flags:", 8).value_or(0) & O_CLOEXEC) != 0;
    return socket;
}

bool is_bound(int socket) {
    sockaddr_in6 address{};
    socklen_t size = sizeof address;
    return ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0 && address.sin6_port != 0;
}

/// MPTCP too: newer Go makes every listener one, and it works with TCP clients all the same.
bool can_be_replaced(const PayloadSocket& socket) {
    return socket.facts.is_ip() && socket.facts.type == SOCK_STREAM &&
           (socket.facts.protocol == IPPROTO_TCP || socket.facts.protocol == IPPROTO_MPTCP) &&
           !is_bound(socket.fd.get());
}

Result<void> carry_over_nonblock(int listener, bool nonblocking) {
    const int flags = ::fcntl(listener, F_GETFL);
    const int wanted = nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    if (flags < 0 || (wanted != flags && ::fcntl(listener, F_SETFL, wanted) < 0))
        return fail(os_error(errno, "cannot set O_NONBLOCK of the listener as the payload had it"));
    return {};
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
    std::optional<Displaced> displaced{};
};

Result<Step> adopt(int notify_fd, const BindRequest& request, const ListenerSource& source, std::size_t index) {
    auto payload = look_at_payload_socket(request);
    if (!payload && is_callers_mistake(payload.error()))
        return Step{};
    if (!payload)
        return fail(std::move(payload).error());
    // Only now is it sure that what we looked at was the caller's and not a later process's with its number.
    if (!still_waits(notify_fd, request))
        return fail(os_error(ESRCH, "the caller is gone"));
    const UniqueFd listener = TRY(source(index));
    const SocketFacts facts = TRY(look_at(listener.get()));
    // A signal, or a freeze, between the exchange and our answer makes the kernel restart the call: it is done.
    if (facts.inode == payload->facts.inode)
        return Step{true};
    if (!can_be_replaced(*payload))
        return Step{};
    TRY_VOID(carry_over_nonblock(listener.get(), payload->nonblocking));
    TRY_VOID(put_in_place(notify_fd, request, request.fd, listener.get(), payload->close_on_exec));
    Step step{true};
    if (payload->facts.family == AF_INET && facts.family == AF_INET6)
        step.displaced = Displaced{std::move(payload->fd), request.fd, payload->close_on_exec};
    return step;
}

} // namespace

std::optional<std::size_t> match(const BindRequest& request, std::span<const Listener> listeners) {
    if (request.family != AF_INET && request.family != AF_INET6)
        return std::nullopt;
    std::optional<std::size_t> other_family;
    for (std::size_t i = 0; i < listeners.size(); ++i) {
        if (listeners[i].port != request.port || request.port == 0)
            continue;
        if (listeners[i].family == request.family)
            return i;
        if (!other_family)
            other_family = i;
    }
    return other_family;
}

Result<Answer> answer_bind(int notify_fd, const BindRequest& request, std::span<const Listener> listeners,
                           const ListenerSource& source) {
    const auto index = match(request, listeners);
    if (!index) {
        TRY_VOID(let_continue(notify_fd, request));
        return Answer{Outcome::continued};
    }
    auto step = adopt(notify_fd, request, source, *index);
    // Whatever failed because the caller went away is no failure of ours.
    if (!step && !still_waits(notify_fd, request))
        return Answer{Outcome::gone};
    if (!step) {
        TRY_VOID(reply(notify_fd, request, EADDRNOTAVAIL));
        return fail(std::move(step).error());
    }
    if (!step->done) {
        TRY_VOID(let_continue(notify_fd, request));
        return Answer{Outcome::continued};
    }
    TRY_VOID(reply(notify_fd, request, 0));
    return Answer{Outcome::adopted, *index, std::move(step->displaced)};
}

Result<void> put_back(int notify_fd, const BindRequest& request, const Displaced& displaced,
                      std::uint64_t listener_inode, std::uint16_t port) {
    const UniqueFd caller = TRY(open_caller(request.thread));
    const auto there = steal_fd(caller.get(), displaced.fd);
    const auto facts = there ? look_at(there->get()) : Result<SocketFacts>{};
    if (!there || !facts || facts->inode != listener_inode || !still_waits(notify_fd, request))
        return {}; // closed, or something else by now
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    // A socket belongs to the network namespace in which it was made: this binds in the container's.
    if (::bind(displaced.socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
        ::listen(displaced.socket.get(), SOMAXCONN) < 0)
        return fail(os_error(errno, "cannot give the payload's IPv4 socket back to it"));
    return put_in_place(notify_fd, request, displaced.fd, displaced.socket.get(), displaced.close_on_exec);
}

} // namespace ctrd::activation

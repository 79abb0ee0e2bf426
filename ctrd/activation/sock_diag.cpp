#include "ctrd/activation/sock_diag.hpp"

#include "ctrd/activation/listener.hpp"
#include "ctrd/base/fd.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

namespace ctrd::activation {
namespace {

constexpr const char* what = "cannot ask the kernel about sockets";
constexpr std::uint32_t every_state = ~0U;

struct Question {
    nlmsghdr header{};
    inet_diag_req_v2 body{};
};

std::uint64_t cookie_of(const inet_diag_sockid& id) {
    return id.idiag_cookie[0] | static_cast<std::uint64_t>(id.idiag_cookie[1]) << 32;
}

Result<std::uint64_t> cookie_of(int socket) {
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    if (::getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &size) < 0)
        return fail(os_error(errno, what));
    return cookie;
}

/// Asks for the one socket at this address; with `dump`, for all of its family and protocol: where several share an
/// address (SO_REUSEPORT), the kernel picks one of them for the first kind of question.
Result<Question> question_for(int socket, const SocketFacts& facts, bool dump) {
    Question question;
    question.header.nlmsg_len = sizeof question;
    question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    question.header.nlmsg_flags = static_cast<std::uint16_t>(dump ? NLM_F_REQUEST | NLM_F_DUMP : NLM_F_REQUEST);
    question.body.sdiag_family = static_cast<std::uint8_t>(facts.family);
    question.body.sdiag_protocol = static_cast<std::uint8_t>(facts.protocol);
    question.body.idiag_states = every_state;
    sockaddr_in6 address{};
    socklen_t size = sizeof address;
    if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) < 0)
        return fail(os_error(errno, what));
    question.body.id.idiag_sport = address.sin6_port;
    if (facts.family == AF_INET6)
        std::memcpy(question.body.id.idiag_src, &address.sin6_addr, sizeof address.sin6_addr);
    else
        std::memcpy(question.body.id.idiag_src, reinterpret_cast<char*>(&address) + offsetof(sockaddr_in, sin_addr),
                    sizeof(in_addr));
    const std::uint64_t cookie = TRY(cookie_of(socket));
    question.body.id.idiag_cookie[0] = static_cast<std::uint32_t>(cookie);
    question.body.id.idiag_cookie[1] = static_cast<std::uint32_t>(cookie >> 32);
    return question;
}

std::optional<std::uint64_t> cgroup_attribute(const nlmsghdr* message) {
    const auto* body = static_cast<const inet_diag_msg*>(NLMSG_DATA(message));
    auto left = static_cast<int>(message->nlmsg_len - NLMSG_LENGTH(sizeof *body));
    for (const auto* attribute = reinterpret_cast<const rtattr*>(body + 1); RTA_OK(attribute, left);
         attribute = RTA_NEXT(attribute, left)) {
        if (attribute->rta_type != INET_DIAG_CGROUP_ID || RTA_PAYLOAD(attribute) != sizeof(std::uint64_t))
            continue;
        std::uint64_t id = 0;
        std::memcpy(&id, RTA_DATA(attribute), sizeof id);
        return id;
    }
    return std::nullopt;
}

DiagSocket to_socket(const nlmsghdr* message) {
    const auto* body = static_cast<const inet_diag_msg*>(NLMSG_DATA(message));
    return {body->idiag_state, body->idiag_inode, body->idiag_rqueue, cgroup_attribute(message).value_or(0)};
}

using Visit = std::function<void(const nlmsghdr*)>;

/// One datagram of the answer. True: it was the last.
Result<bool> look_through(const char* data, std::size_t size, const Visit& visit) {
    bool finished = false;
    auto left = static_cast<unsigned>(size);
    for (const auto* message = reinterpret_cast<const nlmsghdr*>(data); NLMSG_OK(message, left);
         message = NLMSG_NEXT(message, left)) {
        finished = finished || (message->nlmsg_flags & NLM_F_MULTI) == 0;
        if (message->nlmsg_type == NLMSG_DONE) {
            finished = true;
        } else if (message->nlmsg_type == NLMSG_ERROR) {
            const auto* error = static_cast<const nlmsgerr*>(NLMSG_DATA(message));
            if (error->error != 0)
                return fail(os_error(-error->error, what));
        } else if (message->nlmsg_type == SOCK_DIAG_BY_FAMILY) {
            visit(message);
        }
    }
    return finished;
}

Result<void> ask(const Question& question, const Visit& visit) {
    const UniqueFd netlink{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG)};
    if (!netlink || ::send(netlink.get(), &question, sizeof question, 0) < 0)
        return fail(os_error(errno, what, "the kernel needs the modules inet_diag and tcp_diag"));
    alignas(nlmsghdr) char buffer[16384];
    for (bool finished = false; !finished;) {
        const ssize_t n = ::recv(netlink.get(), buffer, sizeof buffer, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(os_error(errno, what));
        finished = TRY(look_through(buffer, static_cast<std::size_t>(n), visit));
    }
    return {};
}

struct Search {
    std::optional<std::uint64_t> cgroup{};
    bool found{false};
};

Result<Search> search_for(const Question& question) {
    Search search;
    const std::uint64_t cookie = cookie_of(question.body.id);
    TRY_VOID(ask(question, [&](const nlmsghdr* message) {
        if (cookie_of(static_cast<const inet_diag_msg*>(NLMSG_DATA(message))->id) != cookie)
            return;
        search.found = true;
        search.cgroup = cgroup_attribute(message);
    }));
    return search;
}

} // namespace

Result<std::uint64_t> cgroup_id_of_socket(int socket) {
    const SocketFacts facts = TRY(look_at(socket));
    auto search = search_for(TRY(question_for(socket, facts, false)));
    if (!search || !search->found)
        search = search_for(TRY(question_for(socket, facts, true)));
    if (!search)
        return fail(std::move(search).error());
    if (!search->found)
        return fail(os_error(ENOENT, what, "the socket is not of this network namespace"));
    if (!search->cgroup)
        return fail(os_error(EOPNOTSUPP, what, "it needs a kernel with CONFIG_SOCK_CGROUP_DATA, 5.7 or later"));
    return *search->cgroup;
}

Result<void> for_each_tcp_socket(int family, std::uint16_t port, const std::function<void(const DiagSocket&)>& visit) {
    return for_each_ip_socket(family, IPPROTO_TCP, port, visit);
}

Result<void> for_each_ip_socket(int family, int protocol, std::uint16_t port,
                                const std::function<void(const DiagSocket&)>& visit) {
    Question question;
    question.header.nlmsg_len = sizeof question;
    question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    question.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    question.body.sdiag_family = static_cast<std::uint8_t>(family);
    question.body.sdiag_protocol = static_cast<std::uint8_t>(protocol);
    question.body.idiag_states = every_state;
    question.body.id.idiag_sport = htons(port);
    return ask(question, [&](const nlmsghdr* message) { visit(to_socket(message)); });
}

} // namespace ctrd::activation

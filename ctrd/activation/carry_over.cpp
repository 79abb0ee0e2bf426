#include "ctrd/activation/carry_over.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace ctrd::activation {
namespace {

struct Option {
    int level;
    int name;
    socklen_t size;
};

constexpr socklen_t number = sizeof(int);
constexpr std::array options{
    Option{SOL_SOCKET, SO_KEEPALIVE, number},
    Option{SOL_SOCKET, SO_OOBINLINE, number},
    Option{SOL_SOCKET, SO_LINGER, sizeof(linger)},
    Option{SOL_SOCKET, SO_RCVTIMEO, sizeof(timeval)},
    Option{SOL_SOCKET, SO_SNDTIMEO, sizeof(timeval)},
    Option{SOL_SOCKET, SO_RCVLOWAT, number},
    Option{SOL_SOCKET, SO_BROADCAST, number},
    Option{SOL_SOCKET, SO_TIMESTAMP, number},
    Option{SOL_SOCKET, SO_TIMESTAMPNS, number},
    Option{SOL_SOCKET, SO_PASSCRED, number},
    Option{SOL_SOCKET, SO_RXQ_OVFL, number},
    Option{SOL_SOCKET, SO_NO_CHECK, number},
    Option{IPPROTO_TCP, TCP_NODELAY, number},
    Option{IPPROTO_TCP, TCP_MAXSEG, number},
    Option{IPPROTO_TCP, TCP_KEEPIDLE, number},
    Option{IPPROTO_TCP, TCP_KEEPINTVL, number},
    Option{IPPROTO_TCP, TCP_KEEPCNT, number},
    Option{IPPROTO_TCP, TCP_SYNCNT, number},
    Option{IPPROTO_TCP, TCP_DEFER_ACCEPT, number},
    Option{IPPROTO_TCP, TCP_USER_TIMEOUT, number},
    Option{IPPROTO_TCP, TCP_NOTSENT_LOWAT, number},
    Option{IPPROTO_TCP, TCP_FASTOPEN, number},
    Option{IPPROTO_IP, IP_TOS, number},
    Option{IPPROTO_IP, IP_TTL, number},
    Option{IPPROTO_IP, IP_PKTINFO, number},
    Option{IPPROTO_IP, IP_RECVTOS, number},
    Option{IPPROTO_IP, IP_RECVTTL, number},
    Option{IPPROTO_IP, IP_RECVERR, number},
    Option{IPPROTO_IP, IP_RECVORIGDSTADDR, number},
    Option{IPPROTO_IP, IP_MTU_DISCOVER, number},
    Option{IPPROTO_IPV6, IPV6_TCLASS, number},
    Option{IPPROTO_IPV6, IPV6_UNICAST_HOPS, number},
    Option{IPPROTO_IPV6, IPV6_RECVPKTINFO, number},
    Option{IPPROTO_IPV6, IPV6_RECVTCLASS, number},
    Option{IPPROTO_IPV6, IPV6_RECVHOPLIMIT, number},
    Option{IPPROTO_IPV6, IPV6_RECVERR, number},
    Option{IPPROTO_IPV6, IPV6_MTU_DISCOVER, number},
};

struct Value {
    std::array<char, sizeof(timeval)> bytes{};
    bool known{false};
    bool operator==(const Value&) const = default;
};

Value value_of(int socket, const Option& option) {
    Value value;
    socklen_t size = option.size;
    value.known =
        ::getsockopt(socket, option.level, option.name, value.bytes.data(), &size) == 0 && size == option.size;
    return value;
}

int number_of(int socket, int name) {
    int value = 0;
    socklen_t size = sizeof value;
    return ::getsockopt(socket, SOL_SOCKET, name, &value, &size) < 0 ? 0 : value;
}

/// The kernel says which of the two sizes were asked for; to set another one would end its own tuning of them. It
/// reports twice what was asked for.
void carry_over_buffers(int from, int to) {
    constexpr int buf_lock = 72; // SO_BUF_LOCK, of Linux 5.14
    constexpr int send_locked = 1;
    constexpr int receive_locked = 2;
    const int locked = number_of(from, buf_lock);
    const auto set = [&](int name) {
        const int size = number_of(from, name) / 2;
        ::setsockopt(to, SOL_SOCKET, name, &size, sizeof size);
    };
    if ((locked & send_locked) != 0)
        set(SO_SNDBUF);
    if ((locked & receive_locked) != 0)
        set(SO_RCVBUF);
}

void carry_over_options(const Caller& caller, int listener) {
    const SocketFacts& facts = caller.facts;
    const UniqueFd fresh{::socket(facts.family, facts.type | SOCK_CLOEXEC, facts.protocol)};
    if (!fresh)
        return;
    for (const Option& option : options) {
        const Value wanted = value_of(caller.socket.get(), option);
        if (!wanted.known || wanted == value_of(fresh.get(), option) || wanted == value_of(listener, option))
            continue;
        ::setsockopt(listener, option.level, option.name, wanted.bytes.data(), option.size);
    }
    carry_over_buffers(caller.socket.get(), listener);
}

Result<void> carry_over_nonblock(int listener, bool nonblocking) {
    const int flags = ::fcntl(listener, F_GETFL);
    const int wanted = nonblocking ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    if (flags < 0 || (wanted != flags && ::fcntl(listener, F_SETFL, wanted) < 0))
        return fail(os_error(errno, "cannot set O_NONBLOCK of the listener as the payload had it"));
    return {};
}

} // namespace

Result<void> carry_over(const Caller& caller, int listener) {
    carry_over_options(caller, listener);
    return carry_over_nonblock(listener, caller.nonblocking);
}

} // namespace ctrd::activation

#include "tools/ctr-proxy/datagram.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <string>

namespace ctrd::proxy {
namespace {

using namespace std::chrono_literals;
constexpr std::size_t most_clients = 1024;
constexpr auto client_lasts = 60s; // without a datagram in either direction, as connection tracking has it
constexpr int most_at_a_time = 64;

/// What is in flight; there is one thread.
std::array<char, 65536> buffer;

/// A datagram's other end, and the host's own address that it was sent to: the answer must come from there.
struct Peer {
    Address address{};
    socklen_t size{0};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(in_pktinfo))> control{};
    std::size_t control_size{0};
};

/// Asks for the address that each datagram was sent to.
void ask_for_destination(int listener) {
    const int on = 1;
    ::setsockopt(listener, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    ::setsockopt(listener, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
}

ssize_t receive(int listener, Peer& peer) {
    iovec data{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_name = &peer.address;
    message.msg_namelen = sizeof peer.address;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = peer.control.data();
    message.msg_controllen = peer.control.size();
    const ssize_t n = ::recvmsg(listener, &message, MSG_DONTWAIT);
    peer.size = message.msg_namelen;
    peer.control_size = n < 0 ? 0 : message.msg_controllen;
    return n;
}

void send_back(int listener, Peer& peer, std::size_t size) {
    iovec data{buffer.data(), size};
    msghdr message{};
    message.msg_name = &peer.address;
    message.msg_namelen = peer.size;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = peer.control_size == 0 ? nullptr : peer.control.data();
    message.msg_controllen = peer.control_size;
    // Which of the host's addresses; through which of its links is for its routes to say.
    for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
        if (one->cmsg_level == IPPROTO_IP && one->cmsg_type == IP_PKTINFO)
            reinterpret_cast<in_pktinfo*>(CMSG_DATA(one))->ipi_ifindex = 0;
    }
    ::sendmsg(listener, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

class Exchange;

/// One client's socket in the container.
class Client final : public Source {
public:
    Client(Exchange& exchange, std::string key, const Peer& peer);
    ~Client() override;

    bool open(const Loop& loop, const Route& route);
    void send(std::size_t size) {
        due = Clock::now() + client_lasts;
        ::send(socket_.get(), buffer.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    bool on_event(std::uint32_t) override;
    bool on_time(Clock::time_point) override { return false; }

private:
    Exchange& exchange_;
    std::string key_;
    Peer peer_;
    UniqueFd socket_{};
};

class Exchange final : public Source {
public:
    Exchange(Loop& loop, const Route& route) : loop_{loop}, route_{route} {}

    bool on_event(std::uint32_t) override {
        for (int i = 0; i < most_at_a_time; ++i) {
            Peer peer;
            const ssize_t n = receive(route_.listener, peer);
            if (n < 0)
                return true;
            if (Client* client = client_for(peer))
                client->send(static_cast<std::size_t>(n));
        }
        return true;
    }
    void forget(const std::string& key) { clients_.erase(key); }
    [[nodiscard]] int listener() const { return route_.listener; }

private:
    /// None where there are too many: datagrams may be lost.
    Client* client_for(const Peer& peer) {
        const std::string key{reinterpret_cast<const char*>(&peer.address), peer.size};
        if (const auto at = clients_.find(key); at != clients_.end())
            return at->second;
        if (clients_.size() >= most_clients)
            return nullptr;
        auto client = std::make_unique<Client>(*this, key, peer);
        if (!client->open(loop_, route_))
            return nullptr;
        Client* known = clients_[key] = client.get();
        loop_.adopt(std::move(client));
        return known;
    }

    Loop& loop_;
    const Route& route_;
    std::map<std::string, Client*> clients_;
};

Client::Client(Exchange& exchange, std::string key, const Peer& peer)
    : exchange_{exchange}, key_{std::move(key)}, peer_{peer} {
    due = Clock::now() + client_lasts;
}
Client::~Client() { exchange_.forget(key_); }

bool Client::open(const Loop& loop, const Route& route) {
    const Address address = target_of(route, route.six_only ? 1 : 0);
    socket_ = UniqueFd{::socket(address.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    return socket_ && ::connect(socket_.get(), &address.any, size_of(address)) == 0 &&
           loop.watch(socket_.get(), EPOLLIN, *this);
}

bool Client::on_event(std::uint32_t) {
    for (int i = 0; i < most_at_a_time; ++i) {
        const ssize_t n = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNREFUSED))
            return true; // nobody listens just now
        if (n < 0)
            return false;
        due = Clock::now() + client_lasts;
        send_back(exchange_.listener(), peer_, static_cast<std::size_t>(n));
    }
    return true;
}

} // namespace

std::unique_ptr<Source> make_exchange(Loop& loop, const Route& route) {
    ask_for_destination(route.listener);
    auto exchange = std::make_unique<Exchange>(loop, route);
    if (!loop.watch(route.listener, EPOLLIN, *exchange))
        return nullptr;
    return exchange;
}

} // namespace ctrd::proxy

#include "ctrd/registry/reach.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>
#include <string>

namespace ctrd::registry {
namespace {

Reach reach_of_v4(std::uint32_t address) noexcept {
    const auto within = [&](std::uint32_t network, int bits) { return (address ^ network) >> (32 - bits) == 0; };
    if (within(0x7f000000, 8) || within(0x00000000, 8)) // 127/8; 0/8 reaches this machine too
        return Reach::this_machine;
    if (within(0xa9fe0000, 16)) // 169.254/16: where clouds answer for a machine's keys
        return Reach::link_local;
    if (within(0x0a000000, 8) || within(0xac100000, 12) || within(0xc0a80000, 16) || within(0x64400000, 10))
        return Reach::own_network;
    return Reach::global;
}

Reach reach_of_v6(const in6_addr& address) noexcept {
    if (IN6_IS_ADDR_LOOPBACK(&address) || IN6_IS_ADDR_UNSPECIFIED(&address))
        return Reach::this_machine;
    const auto* bytes = address.s6_addr;
    const auto embedded = [&](int at) {
        std::uint32_t v4 = 0;
        std::memcpy(&v4, bytes + at, sizeof v4);
        return reach_of_v4(ntohl(v4));
    };
    constexpr unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    if (IN6_IS_ADDR_V4MAPPED(&address) || IN6_IS_ADDR_V4COMPAT(&address) ||
        std::memcmp(bytes, nat64, sizeof nat64) == 0)
        return embedded(12);
    if (bytes[0] == 0x20 && bytes[1] == 0x02) // 6to4
        return embedded(2);
    if (IN6_IS_ADDR_LINKLOCAL(&address))
        return Reach::link_local;
    return (bytes[0] & 0xfe) == 0xfc ? Reach::own_network : Reach::global;
}

} // namespace

std::string_view to_string(Reach reach) noexcept {
    switch (reach) {
    case Reach::global:
        return "the internet";
    case Reach::own_network:
        return "a private network";
    case Reach::link_local:
        return "a link-local address";
    case Reach::this_machine:
        return "this machine";
    }
    return "";
}

Reach reach_of(const sockaddr& address) noexcept {
    if (address.sa_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
        return reach_of_v4(ntohl(v4.sin_addr.s_addr));
    }
    if (address.sa_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
        return reach_of_v6(v6.sin6_addr);
    }
    return Reach::this_machine;
}

std::optional<Reach> reach_of(std::string_view host) noexcept {
    if (host.starts_with('[') && host.ends_with(']'))
        host = host.substr(1, host.size() - 2);
    char text[64] = {};
    if (host.size() >= sizeof text)
        return std::nullopt;
    std::memcpy(text, host.data(), host.size());
    in_addr v4{};
    in6_addr v6{};
    if (::inet_pton(AF_INET6, text, &v6) == 1)
        return reach_of_v6(v6);
    if (::inet_aton(text, &v4) != 0) // also "127.1" and "0x7f000001", which resolvers take
        return reach_of_v4(ntohl(v4.s_addr));
    return host == "localhost" || host.ends_with(".localhost") ? std::optional{Reach::this_machine} : std::nullopt;
}

bool may_lead(Reach from, Reach to) noexcept {
    if (to == Reach::global || to == from)
        return true;
    return from == Reach::this_machine && to == Reach::own_network;
}

} // namespace ctrd::registry

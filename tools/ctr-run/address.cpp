#include "tools/ctr-run/address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>
#include <string>

namespace ctrd::run {
namespace {

union Address {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_un local;
};

bool is_path(const Address& address, socklen_t size, std::string_view path) {
    const std::size_t longest = size - std::min<std::size_t>(size, offsetof(sockaddr_un, sun_path));
    return address.any.sa_family == AF_UNIX &&
           std::string_view{address.local.sun_path, ::strnlen(address.local.sun_path, longest)} == path;
}

/// A bare port is every address of both families, or IPv4's where the host has no IPv6.
bool is_wildcard(const Address& address) {
    return address.any.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&address.v6.sin6_addr)
                                             : address.v4.sin_addr.s_addr == htonl(INADDR_ANY);
}

bool has_host(const Address& address, std::string_view host) {
    if (host.empty())
        return is_wildcard(address);
    if (host.starts_with('[') && host.ends_with(']')) {
        in6_addr wanted{};
        return address.any.sa_family == AF_INET6 &&
               ::inet_pton(AF_INET6, std::string{host.substr(1, host.size() - 2)}.c_str(), &wanted) == 1 &&
               std::memcmp(&wanted, &address.v6.sin6_addr, sizeof wanted) == 0;
    }
    in_addr wanted{};
    return address.any.sa_family == AF_INET && ::inet_pton(AF_INET, std::string{host}.c_str(), &wanted) == 1 &&
           wanted.s_addr == address.v4.sin_addr.s_addr;
}

} // namespace

bool is_bound_to(int fd, std::string_view listen) {
    Address address{};
    socklen_t size = sizeof address;
    if (::getsockname(fd, &address.any, &size) < 0)
        return false;
    if (listen.starts_with('/'))
        return is_path(address, size, listen);
    if (address.any.sa_family != AF_INET && address.any.sa_family != AF_INET6)
        return false;
    const std::size_t colon = listen.rfind(':');
    const std::string_view digits = colon == std::string_view::npos ? listen : listen.substr(colon + 1);
    std::uint16_t port = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), port).ec != std::errc{} ||
        port != ntohs(address.v4.sin_port)) // at the same place in both families
        return false;
    return has_host(address, colon == std::string_view::npos ? std::string_view{} : listen.substr(0, colon));
}

} // namespace ctrd::run

#include "tools/ctr-proxy/target.hpp"

#include "ctrd/activation/sock_diag.hpp"

#include <netinet/tcp.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstring>

namespace ctrd::proxy {

Address target_of(const Route& route, unsigned attempt) {
    Address address{};
    if (!route.path.empty()) {
        address.local.sun_family = AF_UNIX;
        std::memcpy(address.local.sun_path, route.path.c_str(),
                    std::min(route.path.size(), sizeof address.local.sun_path - 1));
    } else if (attempt == 0) {
        address.four.sin_family = AF_INET;
        address.four.sin_port = htons(route.port);
        address.four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    } else {
        address.six.sin6_family = AF_INET6;
        address.six.sin6_port = htons(route.port);
        address.six.sin6_addr = in6addr_loopback;
    }
    return address;
}

socklen_t size_of(const Address& address) {
    switch (address.any.sa_family) {
    case AF_UNIX:
        return sizeof address.local;
    case AF_INET6:
        return sizeof address.six;
    default:
        return sizeof address.four;
    }
}

unsigned attempts_for(const Route& route) { return route.path.empty() ? 2 : 1; }

bool listens_on_six_only(const Route& route) {
    unsigned four = 0;
    unsigned six = 0;
    const int protocol = route.datagram ? IPPROTO_UDP : IPPROTO_TCP;
    for (const int family : {AF_INET, AF_INET6})
        [[maybe_unused]] const auto asked = activation::for_each_ip_socket(
            family, protocol, route.port, [&](const auto&) { ++(family == AF_INET ? four : six); });
    return four == 0 && six > 0;
}

Result<bool> is_listening(const Route& route) {
    if (!route.path.empty()) {
        struct stat st {};
        return ::lstat(route.path.c_str(), &st) == 0 && S_ISSOCK(st.st_mode);
    }
    bool found = false;
    const int protocol = route.datagram ? IPPROTO_UDP : IPPROTO_TCP;
    for (const int family : {AF_INET, AF_INET6})
        TRY_VOID(activation::for_each_ip_socket(family, protocol, route.port, [&](const activation::DiagSocket& one) {
            found = found || route.datagram || one.state == TCP_LISTEN;
        }));
    return found;
}

} // namespace ctrd::proxy

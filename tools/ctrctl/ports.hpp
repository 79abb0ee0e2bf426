// Who has a port: so that "address already in use" comes with a name, and before anything was touched.
#pragma once

#include <netinet/in.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ctrd::ctl {

/// A TCP address as ListenStream= takes it. An address of any other kind is none.
struct TcpAddress {
    bool v6{false};
    in6_addr address{}; // IPv4: the first four bytes
    std::uint16_t port{0};

    [[nodiscard]] bool is_wildcard() const noexcept;
};
std::optional<TcpAddress> parse_listen(std::string_view listen);

/// Whether two sockets can't listen on these at once. "[::]" takes IPv4 too, as systemd's default has it.
bool overlap(const TcpAddress& a, const TcpAddress& b);

struct Listener {
    TcpAddress at{};
    std::uint64_t inode{0};
};
/// The listening lines of /proc/net/tcp (v6: of tcp6).
std::vector<Listener> parse_proc_net(std::string_view text, bool v6);
std::vector<Listener> all_listeners();

/// 0, or the errno of a bind(2) that was tried and undone at once. EADDRINUSE: somebody listens there.
int try_bind(const TcpAddress& address);

struct Holder {
    pid_t pid{0};
    std::string command{};
    std::string unit{}; // systemd's name for where it runs; may be empty
};
/// The process that has the socket; nullopt if that can't be found out. systemd itself only if nobody else has it.
std::optional<Holder> find_holder(std::uint64_t inode);

/// "/system.slice/nginx.service/x" -> "nginx.service".
std::string unit_of_cgroup(std::string_view cgroup);

} // namespace ctrd::ctl

#include "tools/ctrctl/ports.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/base/text.hpp"

#include <arpa/inet.h>
#include <dirent.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>

namespace ctrd::ctl {
namespace {

std::size_t length_of(bool v6) { return v6 ? sizeof(in6_addr) : sizeof(in_addr); }

/// The kernel prints an address as 32-bit words in the machine's own byte order.
bool parse_words(std::string_view hex, bool v6, in6_addr& address) {
    const std::size_t bytes = length_of(v6);
    if (hex.size() != 2 * bytes)
        return false;
    for (std::size_t at = 0; at < bytes; at += 4) {
        const auto word = parse_number<std::uint32_t>(hex.substr(2 * at, 8), 16);
        if (!word)
            return false;
        std::memcpy(reinterpret_cast<char*>(&address) + at, &*word, sizeof *word);
    }
    return true;
}

std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    for (std::size_t at = line.find_first_not_of(' '); at < line.size(); at = line.find_first_not_of(' ', at)) {
        const std::size_t end = std::min(line.find(' ', at), line.size());
        words.push_back(line.substr(at, end - at));
        at = end;
    }
    return words;
}

std::optional<Listener> parse_line(std::string_view line, bool v6) {
    const auto words = words_of(line); // sl local remote state queues timer retransmits uid timeout inode ...
    constexpr std::string_view state_listen = "0A";
    if (words.size() < 10 || words[3] != state_listen)
        return std::nullopt;
    const std::size_t colon = words[1].find(':');
    if (colon == std::string_view::npos)
        return std::nullopt;
    const auto port = parse_number<std::uint16_t>(words[1].substr(colon + 1), 16);
    const auto inode = parse_number<std::uint64_t>(words[9]);
    Listener listener{.at = {.v6 = v6, .port = port.value_or(0)}, .inode = inode.value_or(0)};
    if (!port || !inode || !parse_words(words[1].substr(0, colon), v6, listener.at.address))
        return std::nullopt;
    return listener;
}

bool has_socket(const std::string& fd_folder, const std::string& link) {
    const std::unique_ptr<DIR, int (*)(DIR*)> fds{::opendir(fd_folder.c_str()), ::closedir};
    while (fds) {
        const dirent* entry = ::readdir(fds.get());
        if (!entry)
            break;
        char target[64];
        const ssize_t n = ::readlinkat(::dirfd(fds.get()), entry->d_name, target, sizeof target);
        if (n > 0 && link == std::string_view{target, static_cast<std::size_t>(n)})
            return true;
    }
    return false;
}

Holder describe_holder(pid_t pid) {
    Holder holder{.pid = pid};
    if (auto name = read_file("/proc/" + std::to_string(pid) + "/comm"))
        holder.command = name->substr(0, name->find('\n'));
    if (const auto cgroup = cgroup_of(pid))
        holder.unit = unit_of_cgroup(*cgroup);
    return holder;
}

} // namespace

bool TcpAddress::is_wildcard() const noexcept {
    const auto* bytes = reinterpret_cast<const char*>(&address);
    return std::all_of(bytes, bytes + length_of(v6), [](char byte) { return byte == 0; });
}

std::optional<TcpAddress> parse_listen(std::string_view listen) {
    const std::size_t colon = listen.rfind(':');
    const bool is_port_alone = colon == std::string_view::npos;
    const auto port = parse_number<std::uint16_t>(is_port_alone ? listen : listen.substr(colon + 1));
    if (!port)
        return std::nullopt;
    TcpAddress result{.v6 = is_port_alone, .port = *port}; // alone: of both protocols
    if (is_port_alone)
        return result;
    std::string host{listen.substr(0, colon)};
    result.v6 = host.starts_with('[') && host.ends_with(']');
    if (result.v6)
        host = host.substr(1, host.size() - 2);
    if (::inet_pton(result.v6 ? AF_INET6 : AF_INET, host.c_str(), &result.address) != 1)
        return std::nullopt;
    return result;
}

bool overlap(const TcpAddress& a, const TcpAddress& b) {
    if (a.port != b.port)
        return false;
    if (a.v6 != b.v6)
        return (a.v6 ? a : b).is_wildcard();
    return a.is_wildcard() || b.is_wildcard() || std::memcmp(&a.address, &b.address, length_of(a.v6)) == 0;
}

std::vector<Listener> parse_proc_net(std::string_view text, bool v6) {
    std::vector<Listener> listeners;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        if (const auto listener = parse_line(text.substr(0, end), v6))
            listeners.push_back(*listener);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return listeners;
}

std::vector<Listener> all_listeners() {
    constexpr std::size_t limit = 64U << 20; // a busy server has many connections in the same file
    std::vector<Listener> all;
    for (const bool v6 : {false, true})
        if (const auto text = read_file(v6 ? "/proc/net/tcp6" : "/proc/net/tcp", limit))
            std::ranges::copy(parse_proc_net(*text, v6), std::back_inserter(all));
    return all;
}

int try_bind(const TcpAddress& address) {
    const UniqueFd fd{::socket(address.v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!fd)
        return errno;
    const int yes = 1; // as systemd does: connections in TIME_WAIT are no hindrance
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_storage storage{};
    if (address.v6) {
        auto& in6 = reinterpret_cast<sockaddr_in6&>(storage);
        in6 = {.sin6_family = AF_INET6, .sin6_port = htons(address.port), .sin6_addr = address.address};
    } else {
        auto& in4 = reinterpret_cast<sockaddr_in&>(storage);
        in4.sin_family = AF_INET;
        in4.sin_port = htons(address.port);
        std::memcpy(&in4.sin_addr, &address.address, sizeof in4.sin_addr);
    }
    const socklen_t length = address.v6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    return ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length) == 0 ? 0 : errno;
}

std::optional<Holder> find_holder(std::uint64_t inode) {
    const std::string link = "socket:[" + std::to_string(inode) + "]";
    const std::unique_ptr<DIR, int (*)(DIR*)> processes{::opendir("/proc"), ::closedir};
    bool is_of_systemd = false;
    while (processes) {
        const dirent* entry = ::readdir(processes.get());
        if (!entry)
            break;
        const auto pid = parse_number<pid_t>(entry->d_name);
        if (!pid || !has_socket("/proc/" + std::string{entry->d_name} + "/fd", link))
            continue;
        if (pid != 1)
            return describe_holder(*pid);
        is_of_systemd = true;
    }
    return is_of_systemd ? std::optional{describe_holder(1)} : std::nullopt;
}

std::string unit_of_cgroup(std::string_view cgroup) {
    while (!cgroup.empty()) {
        const std::size_t slash = cgroup.rfind('/');
        const std::string_view last = cgroup.substr(slash == std::string_view::npos ? 0 : slash + 1);
        if (last.ends_with(".service") || last.ends_with(".scope"))
            return std::string{last};
        cgroup = cgroup.substr(0, slash == std::string_view::npos ? 0 : slash);
    }
    return {};
}

} // namespace ctrd::ctl

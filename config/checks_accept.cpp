#include "config/checks.hpp"

#include "config/syntax.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace ctrd::config {
namespace {

struct Meaningless {
    const char* key;
    const char* why;
};
/// Of the whole container.
constexpr std::array about_standby{
    Meaningless{"standby", "nothing waits: each connection makes its container"},
    Meaningless{"idle-timeout", "each container ends with its connection"},
    Meaningless{"idle-cpu", "each container ends with its connection"},
    Meaningless{"idle-stop", "each container ends with its connection"},
    Meaningless{"reclaim-memory", "each container ends with its connection"},
    Meaningless{"notify", "each container is ready when it has its connection"},
    Meaningless{"credentials", "the containers of single connections are given none"},
    Meaningless{"output", "what the program writes goes to its connection, or the journal"},
    Meaningless{"terminal", "what the program reads and writes is its connection, or the journal"},
};
/// Of a socket.
constexpr std::array about_binding{
    Meaningless{"port", "the program binds nothing: it gets its connection at its start"},
    Meaningless{"path", "the program binds nothing: it gets its connection at its start"},
};

class AcceptCheck {
public:
    explicit AcceptCheck(const UnitSpec& spec) : spec_{spec} {}

    Diagnostics run() {
        const bool one = accepts(spec_);
        for (std::size_t i = 0; i < spec_.sockets.size(); ++i)
            check_socket(spec_.sockets[i], fmt::format("socket.{}", i), one);
        if (one)
            check_container();
        else if (spec_.warm_pool)
            add("warm-pool", "'warm-pool' is for a container of each connection (accept = true)",
                "standby = \"created\" makes one that waits for all connections");
        return std::move(found_);
    }

private:
    void add(const std::string& key, std::string message, std::string hint) {
        found_.push_back({origin_of(spec_, key), std::move(message), std::move(hint)});
    }

    void check_socket(const SocketSpec& socket, const std::string& path, bool one) {
        if (socket.accept != one)
            return add(path, "'accept' is true for one socket of this container and not for another",
                       "write it for all of them, or make two containers");
        if (!one)
            return check_without(socket, path);
        if (socket.datagram)
            add(path + ".type", "'accept' is for connections, and a datagram socket has none", "remove 'accept'");
        if (socket.deliver != Deliver::stdio && socket.deliver != Deliver::pass)
            add(path + ".deliver", "with 'accept' there is a connection to hand over, and no listening socket",
                "write deliver = \"stdio\" (standard input and output) or \"pass\" (descriptor 3, LISTEN_FDS)");
        for (const auto& [key, why] : about_binding)
            if (spec_.origins.contains(path + "." + key))
                add(path + "." + key, fmt::format("'{}' means nothing with 'accept': {}", key, why), "remove it");
        const SocketSpec& first = spec_.sockets.front();
        if (socket.deliver != first.deliver)
            add(path + ".deliver", "the sockets of one container with 'accept' share their 'deliver'",
                "write the same, or make two containers");
        if (socket.max_connections != first.max_connections ||
            socket.max_connections_per_source != first.max_connections_per_source)
            add(path, "the sockets of one container share their 'max-connections' and 'max-connections-per-source'",
                "write the same numbers for all of them");
    }

    void check_without(const SocketSpec& socket, const std::string& path) {
        if (socket.deliver == Deliver::stdio)
            add(path + ".deliver", "deliver = \"stdio\" is for one connection", "write accept = true as well");
        for (const char* key : {"max-connections", "max-connections-per-source"})
            if (spec_.origins.contains(path + "." + key))
                add(path + "." + key,
                    fmt::format("'{}' needs accept = true: the program accepts its connections itself", key),
                    "set a limit in the program, or write accept = true");
    }

    /// systemd does not see the connections then.
    void check_pool() {
        if (*spec_.warm_pool > most_connections(spec_))
            add("warm-pool",
                fmt::format("more would wait than 'max-connections' lets in ({})", most_connections(spec_)),
                "write a smaller number, or a larger 'max-connections'");
        if (spec_.sockets.front().max_connections_per_source)
            add("warm-pool", "with 'warm-pool' nobody counts 'max-connections-per-source'", "leave one of them out");
        if (spec_.max_lifetime_us != UnitSpec::infinity)
            add("warm-pool", "'max-lifetime' would count the time in which a container waits", "leave one of them out");
    }

    void check_container() {
        if (spec_.warm_pool)
            check_pool();
        for (const auto& [key, why] : about_standby)
            if (spec_.origins.contains(key))
                add(key, fmt::format("'{}' means nothing with 'accept': {}", key, why), "leave it out");
        if (spec_.start == Start::boot)
            add("start", "with 'accept' there is nothing to start at boot: each connection makes its container",
                "leave 'start' out");
        if (spec_.restart != "no")
            add("restart", "'restart' means nothing with 'accept': a connection can't be made again from here",
                "leave it out");
        if (spec_.link_journal != LinkJournal::no)
            add("link-journal",
                "'link-journal' means nothing with 'accept': several containers can't write to one journal",
                "leave it out");
        if (spec_.image && spec_.forgets == Volatile::no && !spec_.read_only.value_or(false))
            add("image", "the containers of several connections can't all write to the same layers",
                "write volatile = \"overlay\" (each its own, in memory), \"state\", or read-only = true");
    }

    const UnitSpec& spec_;
    Diagnostics found_{};
};

} // namespace

std::uint32_t most_connections(const UnitSpec& spec) {
    constexpr std::uint32_t as_systemd_has_it = 64;
    return spec.sockets.front().max_connections.value_or(as_systemd_has_it);
}

bool accepts(const UnitSpec& spec) { return std::ranges::any_of(spec.sockets, &SocketSpec::accept); }

Diagnostics check_accept(const UnitSpec& spec) { return AcceptCheck{spec}.run(); }

} // namespace ctrd::config

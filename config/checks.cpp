// What must hold beyond types and grammar of single values. Each check has a name and stands by itself.
#include "config/checks.hpp"

#include "config/config.hpp"
#include "config/syntax.hpp"
#include "config/triggers.hpp"
#include "ctrd/base/names.hpp"
#include "ctrd/image/reference.hpp"

#include <fmt/format.h>

#include <sys/un.h>

#include <algorithm>
#include <array>
#include <set>

namespace ctrd::config {
namespace {

/// Collects what one check finds, at the key that is to blame.
class Findings {
public:
    Findings(const UnitSpec& spec, Diagnostics& out) : spec_{spec}, out_{out} {}
    void add(const std::string& key, std::string message, std::string hint = {}) {
        out_.push_back({origin_of(spec_, key), std::move(message), std::move(hint)});
    }
    /// "'KEY': what is wrong".
    void add_if(const std::string& key, const Result<void>& result) {
        if (!result)
            add(key, fmt::format("'{}': {}", key, result.error().message), result.error().hint);
    }

private:
    const UnitSpec& spec_;
    Diagnostics& out_;
};

void check_name(const UnitSpec& spec, Findings& found) {
    if (auto ok = check_container_name(spec.name); !ok)
        found.add("", ok.error().message, ok.error().hint);
}

/// "name[:tag][@digest]", or a digest alone.
Result<void> check_image(const std::string& text) {
    if (text.starts_with("sha256:") || text.starts_with("sha512:"))
        TRY(image::Digest::parse(text));
    else
        TRY(image::parse_reference(text));
    return {};
}

void check_source(const UnitSpec& spec, Findings& found) {
    std::vector<std::string> given;
    for (const auto& [key, value] :
         {std::pair{"rootfs", &spec.rootfs}, {"bundle", &spec.bundle}, {"image", &spec.image}})
        if (*value || spec.origins.contains(key))
            given.emplace_back(key);
    if (given.size() > 1)
        found.add(given.back(), fmt::format("'{}' and '{}' are both given", given[0], given.back()),
                  "leave one of them out");
    if (given.empty())
        found.add("", "neither 'image' nor 'rootfs' nor 'bundle' is given",
                  "name what the container is made of, for example image = \"web:1.4\" or rootfs = \"/srv/web\"");
    if (spec.rootfs) {
        found.add_if("rootfs", check_absolute_path(*spec.rootfs));
        if (clean_path(*spec.rootfs) == "/")
            found.add("rootfs", "'rootfs' is the host's own root folder", "give the container a folder of its own");
    }
    if (spec.bundle)
        found.add_if("bundle", check_absolute_path(*spec.bundle));
    if (spec.image)
        found.add_if("image", check_image(*spec.image));
}

void check_disk_max(const UnitSpec& spec, Findings& found) {
    if (!spec.disk_max)
        return;
    if (!spec.image)
        found.add("disk-max", "'disk-max' goes with 'image' only", "what is written to a rootfs is that folder's own");
    else if (spec.forgets != Volatile::no)
        found.add("disk-max", "'disk-max' does not go with 'volatile'",
                  "what it writes is in memory: memory-max in [resources] bounds that");
    else if (spec.read_only.value_or(false))
        found.add("disk-max", "'disk-max' does not go with 'read-only'", "nothing is written: leave it out");
    else if (!spec.private_users)
        found.add(
            "disk-max", "'disk-max' needs 'private-users'",
            "write private-users = \"pick\": with the host's users its own could take their files out of the count");
}

void check_image_keys(const UnitSpec& spec, Findings& found) {
    check_disk_max(spec, found);
    if (spec.image)
        return;
    if (spec.entrypoint || spec.origins.contains("entrypoint"))
        found.add("entrypoint", "'entrypoint' goes with 'image' only", "write all of it in 'command'");
    if (spec.forgets != Volatile::no)
        found.add("volatile", "'volatile' goes with 'image' only",
                  "a rootfs is written to; read-only = true and tmpfs mounts leave it as it is");
}

void check_private_users(const UnitSpec& spec, Findings& found) {
    if (spec.private_users && spec.bundle)
        found.add("private-users", "'private-users' does not go with 'bundle'",
                  "its config.json says it: a namespace \"user\", linux.uidMappings and gidMappings");
    for (std::size_t i = 0; i < spec.mounts.size(); ++i)
        for (const auto& option : spec.mounts[i].options)
            if ((option == "idmap" || option == "ridmap") && !spec.private_users)
                found.add(fmt::format("mount.{}.options", i),
                          fmt::format("'{}' means nothing without 'private-users'", option), "leave it out");
}

void check_command(const UnitSpec& spec, Findings& found) {
    if (spec.rootfs && spec.command.empty() && !spec.origins.contains("command"))
        found.add("rootfs", "'command' is missing: a rootfs does not say what to run",
                  "for example command = [\"/usr/sbin/nginx\"]");
    if (spec.entrypoint && !spec.entrypoint->empty() && spec.entrypoint->front().empty())
        found.add("entrypoint", "the program in 'entrypoint' is an empty string");
    if (!spec.command.empty() && spec.command.front().empty())
        found.add("command", "the program in 'command' is an empty string");
    for (const auto& word : spec.command)
        if (word.find('\0') != std::string::npos)
            found.add("command", "'command' has a NUL character in it");
}

void check_process(const UnitSpec& spec, Findings& found) {
    if (spec.user)
        if (auto user = parse_user(*spec.user); !user)
            found.add("user", fmt::format("'user': {}", user.error().message), user.error().hint);
    if (spec.working_directory)
        found.add_if("working-directory", check_absolute_path(*spec.working_directory));
    if (spec.hostname && !is_hostname(*spec.hostname))
        found.add("hostname", fmt::format("'{}' is not a host name", *spec.hostname),
                  "use 1 to 64 letters, digits, '-' and '.', beginning and ending with a letter or digit");
    if (spec.description &&
        (!is_printable(*spec.description) || spec.description->size() > 200 || spec.description->ends_with('\\')))
        found.add("description",
                  "'description' must be one line of at most 200 bytes that does not end in a backslash");
}

void check_environment(const UnitSpec& spec, Findings& found) {
    for (const auto& [name, value] : spec.environment) {
        const auto key = "environment." + name;
        if (!is_environment_name(name))
            found.add(key,
                      fmt::format("'{}' is not a name for an environment variable", is_printable(name) ? name : "?"),
                      "use letters, digits and '_', not beginning with a digit");
        else if (value.find_first_of(std::string_view{"\0\n\r", 3}) != std::string::npos)
            found.add(key, fmt::format("the value of '{}' has a NUL or line break in it", name),
                      "write it in one line");
    }
}

/// As systemd takes them: a name is a file's, and no specifier is meant.
void check_credentials(const UnitSpec& spec, Findings& found) {
    for (const auto& [name, path] : spec.credentials) {
        const auto key = "credentials." + name;
        if (name.empty() || name.size() > 255 || name.starts_with('.') ||
            name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") !=
                std::string::npos)
            found.add(key, fmt::format("'{}' is not a name for a credential", is_printable(name) ? name : "?"),
                      "use letters, digits, '-', '_' and '.', not beginning with a '.'");
        else if (path.find('\\') != std::string::npos || path.ends_with(' '))
            found.add(key, fmt::format("'{}' can't be the file of a credential", path),
                      "a backslash, or a blank at the end, means something else in a unit");
        else
            found.add_if(key, check_absolute_path(path));
    }
}

void check_capabilities(const UnitSpec& spec, Findings& found) {
    if (!spec.capabilities)
        return;
    for (const auto& name : *spec.capabilities) {
        if (name == "ALL" && spec.capabilities->size() == 1)
            return;
        if (!full_capability_name(name).empty())
            continue;
        std::string upper = name;
        std::ranges::transform(upper, upper.begin(),
                               [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
        const auto near = nearest(upper.starts_with("CAP_") ? upper : "CAP_" + upper, all_capabilities());
        found.add("capabilities", fmt::format("'{}' is not a capability", name),
                  near.empty() ? "see capabilities(7); \"ALL\" stands alone"
                               : fmt::format("did you mean \"{}\"?", near));
    }
}

/// Mount words that change nothing outside the container. Propagation towards the host is not among them.
constexpr std::array<std::string_view, 21> mount_flags{
    "ro",      "rw",     "nosuid",  "suid", "nodev", "dev",         "noexec",  "exec",     "noatime", "relatime", "rro",
    "rnosuid", "rnodev", "rnoexec", "bind", "rbind", "strictatime", "private", "rprivate", "idmap",   "ridmap"};
constexpr std::array<std::string_view, 6> tmpfs_settings{"size", "nr_inodes", "mode", "uid", "gid", "huge"};

void check_mount_option(const MountSpec& mount, const std::string& key, const std::string& option, Findings& found) {
    const auto equals = option.find('=');
    const std::string_view word = std::string_view{option}.substr(0, equals);
    const bool tmpfs = mount.type == MountType::tmpfs;
    const bool flag = equals == std::string::npos && std::ranges::find(mount_flags, word) != mount_flags.end() &&
                      !(tmpfs && (word.ends_with("bind") || word.ends_with("idmap")));
    const bool setting = tmpfs && equals != std::string::npos &&
                         std::ranges::find(tmpfs_settings, word) != tmpfs_settings.end() &&
                         option.find(',') == std::string::npos && is_printable(option);
    if (flag || setting)
        return;
    const auto near =
        nearest(word, equals == std::string::npos ? std::span<const std::string_view>{mount_flags} : tmpfs_settings);
    found.add(key,
              fmt::format("'{}' is not an option for a {} mount", is_printable(option) ? option : "?",
                          tmpfs ? "tmpfs" : "bind"),
              near.empty() ? fmt::format("the options are: {}", fmt::join(mount_flags, ", "))
                           : fmt::format("did you mean '{}'?", near));
}

void check_mount(const MountSpec& mount, const std::string& path, Findings& found) {
    if (mount.target.empty())
        return found.add(path, "a [[mount]] needs 'target'", "the absolute path in the container");
    if (auto ok = check_absolute_path(mount.target); !ok)
        found.add(path + ".target", "'target': " + ok.error().message, ok.error().hint);
    const auto target = clean_path(mount.target);
    for (const std::string_view own : {"/proc", "/sys", "/dev/pts"})
        if (target == own || target.starts_with(std::string{own} + "/"))
            found.add(path + ".target", fmt::format("nothing can be mounted on '{}'", target),
                      fmt::format("'{}' is the kernel's own file system", own));
    if (target == "/")
        found.add(path + ".target", "nothing can be mounted on the container's root",
                  "that is what 'image' and 'rootfs' are for");
    if (mount.type == MountType::bind) {
        if (mount.source.empty())
            found.add(path, "a bind mount needs 'source'", "the absolute path on the host, or type = \"tmpfs\"");
        else if (auto ok = check_absolute_path(mount.source); !ok)
            found.add(path + ".source", "'source': " + ok.error().message, ok.error().hint);
    } else if (!mount.source.empty()) {
        found.add(path + ".source", "a tmpfs has no 'source'", "remove it");
    }
    for (const auto& option : mount.options)
        check_mount_option(mount, path + ".options", option, found);
}

void check_mounts(const UnitSpec& spec, Findings& found) {
    std::set<std::string> targets;
    for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
        const auto path = fmt::format("mount.{}", i);
        check_mount(spec.mounts[i], path, found);
        if (!spec.mounts[i].target.empty() && !targets.insert(clean_path(spec.mounts[i].target)).second)
            found.add(path + ".target", fmt::format("'{}' is the target of two mounts", spec.mounts[i].target));
    }
}

bool is_socket_name(std::string_view name) {
    return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
               c == '.';
    });
}

/// A user or group of the host, as systemd takes it: a name, or a number.
bool is_account_name(std::string_view name) {
    return !name.empty() && name.size() <= 31 && !name.starts_with('-') && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
}

/// By its length the kernel's filter tells the bind of a path from others that must not be stopped.
constexpr std::size_t shortest_path = 11;

void check_bound_path(const SocketSpec& socket, const ListenAddress& address, const std::string& key, Findings& found) {
    if (address.kind != ListenAddress::Kind::path)
        return found.add(key, "'path' means nothing for a socket that listens on a port", "remove it, or use 'port'");
    if (socket.deliver == Deliver::pass)
        return found.add(key, "'path' means nothing for a socket that is passed", "remove it");
    if (auto ok = check_absolute_path(socket.path); !ok)
        return found.add(key, "'path': " + ok.error().message, ok.error().hint);
    if ((socket.path.size() < shortest_path && socket.deliver != Deliver::proxy) ||
        socket.path.size() >= sizeof(sockaddr_un::sun_path))
        found.add(key,
                  fmt::format("'{}' can't be adopted: it must have {} to {} characters", socket.path, shortest_path,
                              sizeof(sockaddr_un::sun_path) - 1),
                  "let the program bind another path, and name it as 'path'");
}

void check_socket(const SocketSpec& socket, const std::string& path, Findings& found) {
    const auto address = parse_listen(socket.listen);
    if (!address)
        return; // reported where it was read
    if (address->kind == ListenAddress::Kind::path && socket.datagram && socket.deliver != Deliver::pass)
        found.add(path + ".type", "a datagram socket with a path can't be adopted or proxied: only UDP ones can",
                  "write deliver = \"pass\" if the program takes sockets from systemd");
    if (!socket.path.empty())
        check_bound_path(socket, *address, path + ".path", found);
    for (const auto& [key, value] :
         {std::pair{"mode", &socket.mode}, {"user", &socket.user}, {"group", &socket.group}}) {
        if (*value && address->kind != ListenAddress::Kind::path)
            found.add(path + "." + key, fmt::format("'{}' is about the file of a socket with a path", key),
                      "who may connect to a port is said by its address, and by a firewall");
        else if (*value && std::string_view{key} != "mode" && !is_account_name(**value))
            found.add(path + "." + key, fmt::format("'{}' is not a name or number of the host's", **value),
                      fmt::format("for example {} = \"www-data\"", key));
    }
    if (socket.datagram && socket.backlog)
        found.add(path + ".backlog", "a datagram socket has no queue of connections", "remove it");
    if (address->kind == ListenAddress::Kind::path && socket.port != 0)
        found.add(path + ".port", "'port' means nothing for a socket with a path", "remove it");
    if (!is_socket_name(socket.name))
        found.add(path + ".name",
                  fmt::format("'{}' is not a socket's name", is_printable(socket.name) ? socket.name : "?"),
                  "use 1 to 64 letters, digits, '-', '_' and '.'");
}

/// In the host's network the proxy would connect to its own listener.
void check_proxied(const UnitSpec& spec, const SocketSpec& socket, const std::string& path, Findings& found) {
    const auto address = parse_listen(socket.listen);
    if (socket.deliver != Deliver::proxy && socket.deliver != Deliver::automatic)
        return;
    if (spec.network == Network::host && address && address->port != 0 && address->port == socket.port)
        found.add(
            path + ".deliver",
            fmt::format("port {} of the host can't be listened on by the program as well, to be proxied", socket.port),
            "let it bind another one, and name it as 'port'; or write deliver = \"adopt\"");
}

/// Two sockets that would answer the same bind, or that the kernel would not let be side by side.
void check_socket_pair(const UnitSpec& spec, std::size_t a, std::size_t b, Findings& found) {
    const auto& one = spec.sockets[a];
    const auto& two = spec.sockets[b];
    const auto path = fmt::format("socket.{}", b);
    if (one.name == two.name)
        found.add(path + ".name", fmt::format("two sockets are named '{}'", two.name), "give each its own name");
    const auto first = parse_listen(one.listen);
    const auto second = parse_listen(two.listen);
    if (!first || !second || one.datagram != two.datagram)
        return;
    using Kind = ListenAddress::Kind;
    const auto families_meet = first->kind == second->kind || first->kind == Kind::port || second->kind == Kind::port;
    const bool meet = families_meet && first->port == second->port &&
                      (first->host == second->host || first->wildcard() || second->wildcard());
    if (first->kind == Kind::path || second->kind == Kind::path) {
        if (first->text == second->text)
            found.add(path + ".listen", fmt::format("'{}' is listened on twice", second->text));
        else if (!one.path.empty() && one.deliver != Deliver::proxy && two.deliver != Deliver::proxy &&
                 clean_path(one.path) == clean_path(two.path))
            found.add(
                path + ".path",
                fmt::format("'{}' and '{}' would both take the place of '{}'", first->text, second->text, two.path),
                "let the program bind one path for each");
        return;
    }
    if (meet)
        found.add(path + ".listen",
                  fmt::format("'{}' and '{}' can't be listened on side by side", first->text, second->text),
                  "a bare port means all addresses, IPv4 and IPv6");
    const auto adopts = [](const SocketSpec& socket) {
        return socket.deliver == Deliver::adopt || socket.deliver == Deliver::automatic;
    };
    if (adopts(one) && adopts(two) && one.port == two.port && families_meet)
        found.add(
            path + ".port",
            fmt::format("'{}' and '{}' would both take the place of port {}", first->text, second->text, two.port),
            "let the program bind one port for each");
}

void check_sockets(const UnitSpec& spec, Findings& found) {
    bool bare = false;
    bool split = false;
    std::optional<std::uint32_t> backlog;
    for (std::size_t i = 0; i < spec.sockets.size(); ++i) {
        const auto& socket = spec.sockets[i];
        check_socket(socket, fmt::format("socket.{}", i), found);
        check_proxied(spec, socket, fmt::format("socket.{}", i), found);
        for (std::size_t j = 0; j < i; ++j)
            check_socket_pair(spec, j, i, found);
        if (const auto address = parse_listen(socket.listen))
            bare = bare || address->kind == ListenAddress::Kind::port;
        const auto same_file = [&](const SocketSpec& other) {
            return !other.listen.starts_with('/') || !socket.listen.starts_with('/') ||
                   (other.mode == socket.mode && other.user == socket.user && other.group == socket.group);
        };
        if (!std::all_of(spec.sockets.begin(), spec.sockets.begin() + static_cast<std::ptrdiff_t>(i), same_file))
            found.add(fmt::format("socket.{}", i),
                      "the files of one container's sockets share 'mode', 'user' and 'group'",
                      "write the same for each, or make two containers");
        if (socket.backlog && backlog && *socket.backlog != *backlog)
            found.add(fmt::format("socket.{}.backlog", i), "the sockets of one container share their 'backlog'",
                      "write the same number");
        backlog = socket.backlog ? socket.backlog : backlog;
    }
    split = needs_ipv6_only(spec);
    if (bare && split)
        found.add("socket", "a bare port can't stand beside the same port on an IPv4 and an IPv6 address",
                  "write \"0.0.0.0:PORT\" and \"[::]:PORT\" for it too");
}

void check_start(const UnitSpec& spec, Findings& found) {
    if (spec.start == Start::connection && spec.sockets.empty() && spec.triggers.empty())
        found.add("start", "'start' = \"connection\" needs a [[socket]] or a [[start-on]]",
                  "add one, or write start = \"boot\"");
    if (spec.stop_timeout_us == 0)
        found.add("stop-timeout", "'stop-timeout' is zero",
                  "write \"infinity\" for no limit, or stop-signal = \"SIGKILL\" for none of waiting");
    if (spec.ready_timeout_us == 0 || spec.ready_timeout_us > 86'400'000'000)
        found.add("ready-timeout", "'ready-timeout' must be more than nothing and at most a day",
                  "for example \"30s\"");
}

void check_standby(const UnitSpec& spec, Findings& found) {
    const bool idles = spec.idle_timeout_us != UnitSpec::infinity;
    if (spec.standby != Standby::stopped && spec.sockets.empty())
        found.add("standby", "'standby' needs a [[socket]]: without one nobody can connect",
                  "add one, or leave 'standby' out");
    if (idles && spec.sockets.empty())
        found.add("idle-timeout", "'idle-timeout' needs a [[socket]]: idle is who has no connections",
                  "add one, or write start = \"manual\" and stop it by other means");
    if (idles && spec.idle_timeout_us < 100'000)
        found.add("idle-timeout", "'idle-timeout' must be at least 100 ms", "for example \"5min\"");
    for (const SocketSpec& socket : spec.sockets)
        if (const auto address = parse_listen(socket.listen);
            idles && address && address->kind == ListenAddress::Kind::path && socket.datagram)
            found.add(
                "idle-timeout",
                fmt::format("'idle-timeout' can't tell whether '{}' is in use: a datagram socket with a path leaves no "
                            "trace of who uses it",
                            socket.listen),
                "leave 'idle-timeout' out, or listen on stream sockets and ports only");
    for (const std::string_view key : {"idle-cpu", "idle-stop"})
        if (!idles && spec.origins.contains(std::string{key}))
            found.add(std::string{key}, fmt::format("'{}' means nothing without 'idle-timeout'", key), "add one");
    if (spec.idle_stop == IdleStop::graceful && spec.standby == Standby::frozen)
        found.add("idle-stop", "'idle-stop' means nothing with standby = \"frozen\": it is not stopped when idle",
                  "leave it out");
    if (spec.reclaim_memory && spec.standby != Standby::frozen)
        found.add("reclaim-memory", "'reclaim-memory' is for standby = \"frozen\"", "leave it out");
    if (spec.max_lifetime_us < 1'000'000)
        found.add("max-lifetime", "'max-lifetime' must be at least a second", "for example \"1day\"");
}

void check_init(const UnitSpec& spec, Findings& found) {
    if (spec.init && runs_systemd(spec))
        found.add("init", "'init' puts a program before the payload, and a systemd has to be PID 1 itself",
                  "leave it out, or write systemd = false if the command is no systemd");
}

void check_output(const UnitSpec& spec, Findings& found) {
    if (spec.terminal && spec.output)
        found.add("output", "'output' means nothing with 'terminal': what the program writes goes there",
                  "leave one of them out");
}

void check_link_journal(const UnitSpec& spec, Findings& found) {
    if (spec.link_journal != LinkJournal::no && !runs_systemd(spec))
        found.add("link-journal", "'link-journal' is about the journal of a systemd, and none runs in this container",
                  "leave it out: what any other program prints is in the host's journal already ('ctrctl logs')");
}

void check_soft_reboot(const UnitSpec& spec, Findings& found) {
    if (spec.survives_soft_reboot && runs_systemd(spec))
        found.add("survive-soft-reboot",
                  "a container in which a systemd runs can't survive a soft-reboot: what its systemd starts is in "
                  "cgroups of its own, and the host's systemd kills all that is in a cgroup without its mark",
                  "leave it out: the container is stopped, and started again with 'start = \"boot\"'");
}

void check_seccomp(const UnitSpec& spec, Findings& found) {
    if (!spec.seccomp || *spec.seccomp == "default" || *spec.seccomp == "unconfined")
        return;
    if (auto ok = check_absolute_path(*spec.seccomp); !ok)
        found.add("seccomp", fmt::format("'seccomp' can't be '{}'", *spec.seccomp),
                  "write \"default\", \"unconfined\", or the absolute path of an OCI seccomp profile");
}

struct Check {
    std::string_view name;
    void (*run)(const UnitSpec&, Findings&);
};
constexpr std::array checks{
    Check{"name", check_name},
    Check{"source", check_source},
    Check{"command", check_command},
    Check{"image", check_image_keys},
    Check{"private users", check_private_users},
    Check{"process", check_process},
    Check{"environment", check_environment},
    Check{"credentials", check_credentials},
    Check{"capabilities", check_capabilities},
    Check{"mounts", check_mounts},
    Check{"sockets", check_sockets},
    Check{"start and stop", check_start},
    Check{"standby", check_standby},
    Check{"seccomp", check_seccomp},
    Check{"init", check_init},
    Check{"output", check_output},
    Check{"journal", check_link_journal},
    Check{"soft-reboot", check_soft_reboot},
};

} // namespace

Diagnostics check(const UnitSpec& spec) {
    Diagnostics problems;
    Findings found{spec, problems};
    for (const auto& one : checks)
        one.run(spec, found);
    std::ranges::move(check_accept(spec), std::back_inserter(problems));
    std::ranges::move(check_triggers(spec), std::back_inserter(problems));
    return problems;
}

bool needs_ipv6_only(const UnitSpec& spec) {
    for (const auto& four : spec.sockets)
        for (const auto& six : spec.sockets) {
            const auto a = parse_listen(four.listen);
            const auto b = parse_listen(six.listen);
            if (a && b && four.datagram == six.datagram && a->kind == ListenAddress::Kind::ipv4 &&
                b->kind == ListenAddress::Kind::ipv6 && a->port == b->port)
                return true;
        }
    return false;
}

} // namespace ctrd::config

#include "config/reader.hpp"

#include "config/keys.hpp"
#include "config/ranges.hpp"
#include "config/resources.hpp"
#include "config/syntax.hpp"
#include "config/triggers.hpp"
#include "ctrd/base/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace ctrd::config {
namespace {

constexpr std::int64_t most_warm = 1000;
constexpr std::array<std::string_view, 3> start_words{"boot", "connection", "manual"};
constexpr std::array<std::string_view, 3> standby_words{"stopped", "created", "frozen"};
constexpr std::array<std::string_view, 2> output_words{"journal", "pipe"};
constexpr std::array<std::string_view, 2> idle_stop_words{"lossless", "graceful"};
constexpr std::array<std::string_view, 3> volatile_words{"no", "overlay", "state"};
constexpr std::array<std::string_view, 3> link_journal_words{"no", "host", "try-host"};
constexpr std::array<std::string_view, 2> network_words{"none", "host"};
constexpr std::array<std::string_view, 2> mount_words{"bind", "tmpfs"};
constexpr std::array<std::string_view, 6> restart_words{"no",          "on-success", "on-failure",
                                                        "on-abnormal", "on-abort",   "always"};

template <class T> void set(T& target, std::optional<std::size_t> index) {
    if (index)
        target = static_cast<typename T::value_type>(*index);
}
template <class T> void set_plain(T& target, std::optional<T> value) {
    if (value)
        target = *std::move(value);
}

class SpecReader {
public:
    SpecReader(UnitSpec& spec, Diagnostics& problems) : spec_{spec}, in_{problems} {}
    void read(const Value& document);

    using Handler = void (SpecReader::*)(const Member&);
    struct Key {
        std::string_view name;
        Handler handler;
    };
    static const std::array<Key, 44> keys;

private:
    void unknown(std::string_view table, const Member& member, std::span<const std::string_view> known);
    void note(const std::string& key, const Member& member) { spec_.origins[key] = member.value.at; }
    std::optional<std::uint64_t> duration(const Member& m) {
        const auto text = in_.scalar(m);
        return text ? in_.take(m, parse_duration(*text)) : std::nullopt;
    }

    void rootfs(const Member& m) { spec_.rootfs = in_.string(m); }
    void bundle(const Member& m) { spec_.bundle = in_.string(m); }
    void image(const Member& m) { spec_.image = in_.string(m, "for example \"web:1.4\""); }
    void command(const Member& m) {
        set_plain(spec_.command, in_.strings(m));
        if (m.value.kind == Value::Kind::array && m.value.items.empty())
            in_.complain(m.value.at, "'command' is empty",
                         "name a program, or leave the key out to run the image's or the bundle's own");
    }
    void entrypoint(const Member& m) { spec_.entrypoint = in_.strings(m); }
    void forgets(const Member& m) {
        if (const auto index = in_.choice(m, volatile_words))
            spec_.forgets = static_cast<Volatile>(*index);
    }
    void disk_max(const Member& m) {
        if (const auto size = in_.scalar(m))
            spec_.disk_max = in_.take(m, parse_bytes(*size));
    }
    void user(const Member& m) { spec_.user = in_.scalar(m); }
    void working_directory(const Member& m) { spec_.working_directory = in_.string(m); }
    void hostname(const Member& m) { spec_.hostname = in_.string(m); }
    void environment(const Member& m);
    void read_only(const Member& m) { spec_.read_only = in_.boolean(m); }
    void network(const Member& m) { set(spec_.network, in_.choice(m, network_words)); }
    void private_users(const Member& m);
    void no_new_privileges(const Member& m) { spec_.no_new_privileges = in_.boolean(m); }
    void capabilities(const Member& m) { spec_.capabilities = in_.strings(m); }
    void mounts(const Member& m);
    void seccomp(const Member& m) { spec_.seccomp = in_.string(m); }
    void description(const Member& m) { spec_.description = in_.string(m); }
    void stop_signal(const Member& m) {
        const auto text = in_.scalar(m);
        const auto number = text ? in_.take(m, parse_signal(*text)) : std::nullopt;
        if (number)
            spec_.stop_signal = signal_name(*number);
    }
    void systemd(const Member& m) { spec_.systemd = in_.boolean(m); }
    void machine_shell(const Member& m) { spec_.machine_shell = in_.boolean(m); }
    void notify(const Member& m) { spec_.notify = in_.boolean(m); }
    void credentials(const Member& m);
    void link_journal(const Member& m);
    void terminal(const Member& m) { set_plain(spec_.terminal, in_.boolean(m)); }
    void init(const Member& m) { set_plain(spec_.init, in_.boolean(m)); }
    void stop_timeout(const Member& m) { set_plain(spec_.stop_timeout_us, duration(m)); }
    void ready_timeout(const Member& m) { set_plain(spec_.ready_timeout_us, duration(m)); }
    void start(const Member& m) { set(spec_.start, in_.choice(m, start_words)); }
    void restart(const Member& m) {
        if (const auto index = in_.choice(m, restart_words))
            spec_.restart = restart_words[*index];
    }
    void standby(const Member& m) {
        if (const auto index = in_.choice(m, standby_words))
            spec_.standby = static_cast<Standby>(*index);
    }
    void idle_timeout(const Member& m) { set_plain(spec_.idle_timeout_us, duration(m)); }
    void idle_cpu(const Member& m) {
        const auto text = in_.string(m, "for example \"2%\"");
        if (text)
            spec_.idle_cpu_permille = in_.take(m, parse_permille(*text));
    }
    void output(const Member& m) { set(spec_.output, in_.choice(m, output_words)); }
    void idle_stop(const Member& m) {
        if (const auto index = in_.choice(m, idle_stop_words))
            spec_.idle_stop = static_cast<IdleStop>(*index);
    }
    void reclaim_memory(const Member& m) { set_plain(spec_.reclaim_memory, in_.boolean(m)); }
    void max_lifetime(const Member& m) { set_plain(spec_.max_lifetime_us, duration(m)); }
    void warm_pool(const Member& m) {
        if (const auto count = in_.integer(m, 1, most_warm))
            spec_.warm_pool = static_cast<std::uint32_t>(*count);
    }
    void survives_soft_reboot(const Member& m) { set_plain(spec_.survives_soft_reboot, in_.boolean(m)); }
    void sockets(const Member& m);
    void triggers(const Member& m);
    void slice(const Member& m) {
        const auto text = in_.string(m, "for example \"machine-web.slice\"");
        if (text)
            spec_.slice = in_.take(m, parse_slice(*text));
    }
    void resources(const Member& m);

    void socket_key(SocketSpec& socket, const std::string& path, const Member& m);
    void mount_key(MountSpec& mount, const std::string& path, const Member& m);

    UnitSpec& spec_;
    ValueReader in_;
};

const std::array<SpecReader::Key, 44> SpecReader::keys{{
    {"rootfs", &SpecReader::rootfs},
    {"bundle", &SpecReader::bundle},
    {"image", &SpecReader::image},
    {"command", &SpecReader::command},
    {"entrypoint", &SpecReader::entrypoint},
    {"volatile", &SpecReader::forgets},
    {"disk-max", &SpecReader::disk_max},
    {"user", &SpecReader::user},
    {"working-directory", &SpecReader::working_directory},
    {"hostname", &SpecReader::hostname},
    {"description", &SpecReader::description},
    {"environment", &SpecReader::environment},
    {"read-only", &SpecReader::read_only},
    {"network", &SpecReader::network},
    {"private-users", &SpecReader::private_users},
    {"no-new-privileges", &SpecReader::no_new_privileges},
    {"capabilities", &SpecReader::capabilities},
    {"seccomp", &SpecReader::seccomp},
    {"mount", &SpecReader::mounts},
    {"socket", &SpecReader::sockets},
    {"slice", &SpecReader::slice},
    {"resources", &SpecReader::resources},
    {"start", &SpecReader::start},
    {"start-on", &SpecReader::triggers},
    {"restart", &SpecReader::restart},
    {"standby", &SpecReader::standby},
    {"idle-timeout", &SpecReader::idle_timeout},
    {"idle-cpu", &SpecReader::idle_cpu},
    {"output", &SpecReader::output},
    {"idle-stop", &SpecReader::idle_stop},
    {"reclaim-memory", &SpecReader::reclaim_memory},
    {"max-lifetime", &SpecReader::max_lifetime},
    {"warm-pool", &SpecReader::warm_pool},
    {"stop-signal", &SpecReader::stop_signal},
    {"stop-timeout", &SpecReader::stop_timeout},
    {"ready-timeout", &SpecReader::ready_timeout},
    {"systemd", &SpecReader::systemd},
    {"init", &SpecReader::init},
    {"survive-soft-reboot", &SpecReader::survives_soft_reboot},
    {"terminal", &SpecReader::terminal},
    {"notify", &SpecReader::notify},
    {"credentials", &SpecReader::credentials},
    {"machine-shell", &SpecReader::machine_shell},
    {"link-journal", &SpecReader::link_journal},
}};

void SpecReader::unknown(std::string_view table, const Member& member, std::span<const std::string_view> known) {
    if (const auto why = refused_key(table, member.key); !why.empty()) {
        note(member.key, member);
        return in_.complain(member.at, std::string{why});
    }
    const auto where = table.empty() ? std::string{} : fmt::format(" in [{}]", table);
    const auto near = nearest(member.key, known);
    in_.complain(member.at, fmt::format("unknown key '{}'{}", member.key, where),
                 near.empty() ? fmt::format("the keys{} are: {}", table.empty() ? "" : " here", fmt::join(known, ", "))
                              : fmt::format("did you mean '{}'?", near));
}

void SpecReader::read(const Value& document) {
    for (const auto& member : document.members) {
        const auto key = std::ranges::find(keys, member.key, &Key::name);
        if (key == keys.end()) {
            unknown("", member, top_level_keys());
            continue;
        }
        note(member.key, member);
        (this->*key->handler)(member);
    }
}

void SpecReader::private_users(const Member& m) {
    if (m.value.kind == Value::Kind::boolean) {
        if (m.value.boolean)
            spec_.private_users = PrivateUsers{.pick = true};
        return;
    }
    const auto text = in_.scalar(m);
    if (const auto users = text ? in_.take(m, parse_private_users(*text)) : std::nullopt)
        spec_.private_users = *users;
}

/// systemd-nspawn knows some more.
void SpecReader::link_journal(const Member& m) {
    if (const std::string& text = m.value.string; m.value.kind == Value::Kind::string && text.ends_with("guest"))
        return in_.complain(m.value.at, fmt::format("'link-journal' can't be '{}'", text),
                            "a link of the host's into the container leads where the container wants it to; write "
                            "\"host\", or read it with 'journalctl -M NAME'");
    if (const auto index = in_.choice(m, link_journal_words))
        spec_.link_journal = static_cast<LinkJournal>(*index);
}

void SpecReader::environment(const Member& m) {
    if (m.value.kind != Value::Kind::table)
        return in_.complain(m.value.at, fmt::format("'environment' must be a table, not {}", kind_name(m.value.kind)),
                            "write [environment] and below it NAME = \"value\"");
    for (const auto& variable : m.value.members) {
        note("environment." + variable.key, variable);
        if (const auto value = in_.string(variable, "put it in quotes"))
            spec_.environment[variable.key] = *value;
    }
}

void SpecReader::credentials(const Member& m) {
    if (m.value.kind != Value::Kind::table)
        return in_.complain(m.value.at, fmt::format("'credentials' must be a table, not {}", kind_name(m.value.kind)),
                            "write [credentials] and below it NAME = \"/path/of/a/file\"");
    for (const auto& one : m.value.members) {
        note("credentials." + one.key, one);
        if (const auto path = in_.string(one, "it is the path of a file"))
            spec_.credentials[one.key] = *path;
    }
}

void SpecReader::mount_key(MountSpec& mount, const std::string& path, const Member& m) {
    note(path + m.key, m);
    if (m.key == "source")
        set_plain(mount.source, in_.string(m));
    else if (m.key == "target")
        set_plain(mount.target, in_.string(m));
    else if (m.key == "read-only")
        set_plain(mount.read_only, in_.boolean(m));
    else if (m.key == "options")
        set_plain(mount.options, in_.strings(m));
    else if (m.key == "type") {
        if (const auto index = in_.choice(m, mount_words))
            mount.type = static_cast<MountType>(*index);
    } else
        unknown("mount", m, mount_keys());
}

void SpecReader::mounts(const Member& m) {
    for (const Value* table : in_.tables(m)) {
        const auto path = fmt::format("mount.{}", spec_.mounts.size());
        spec_.origins[path] = table->at;
        MountSpec mount;
        for (const auto& member : table->members)
            mount_key(mount, path + ".", member);
        spec_.mounts.push_back(std::move(mount));
    }
}

void SpecReader::socket_key(SocketSpec& socket, const std::string& path, const Member& m) {
    constexpr std::array<std::string_view, 5> deliver_words{"adopt", "pass", "proxy", "auto", "stdio"};
    constexpr std::array<std::string_view, 2> type_words{"stream", "datagram"};
    note(path + m.key, m);
    if (m.key == "listen") {
        const auto text = in_.scalar(m);
        if (const auto range = text ? in_.take(m, parse_listen_range(*text)) : std::nullopt) {
            socket.listen = range->first.text;
            socket.last_port = range->last;
            if (socket.port == 0)
                socket.port = range->first.port;
        }
    } else if (m.key == "port") {
        if (const auto port = in_.integer(m, 1, 65535))
            socket.port = static_cast<std::uint16_t>(*port);
    } else if (m.key == "path") {
        set_plain(socket.path, in_.string(m));
    } else if (m.key == "name") {
        set_plain(socket.name, in_.string(m));
    } else if (m.key == "backlog") {
        if (const auto backlog = in_.integer(m, 1, INT32_MAX))
            socket.backlog = static_cast<std::uint32_t>(*backlog);
    } else if (m.key == "mode") {
        if (const auto text = in_.string(m, "for example \"0660\""))
            socket.mode = in_.take(m, check_mode(*text));
    } else if (m.key == "user" || m.key == "group") {
        (m.key == "user" ? socket.user : socket.group) = in_.scalar(m);
    } else if (m.key == "accept") {
        set_plain(socket.accept, in_.boolean(m));
    } else if (m.key == "max-connections" || m.key == "max-connections-per-source") {
        if (const auto count = in_.integer(m, 1, 1'000'000))
            (m.key == "max-connections" ? socket.max_connections : socket.max_connections_per_source) =
                static_cast<std::uint32_t>(*count);
    } else if (m.key == "type") {
        if (const auto index = in_.choice(m, type_words))
            socket.datagram = *index == 1;
    } else if (m.key == "deliver") {
        if (const auto index = in_.choice(m, deliver_words))
            socket.deliver = static_cast<Deliver>(*index);
    } else {
        unknown("socket", m, socket_keys());
    }
}

void SpecReader::sockets(const Member& m) {
    for (const Value* table : in_.tables(m)) {
        const auto path = fmt::format("socket.{}", spec_.sockets.size());
        spec_.origins[path] = table->at;
        SocketSpec socket;
        for (const auto& member : table->members)
            socket_key(socket, path + ".", member);
        if (table->find("listen") == nullptr)
            in_.complain(table->at, "a [[socket]] needs 'listen'", "for example listen = \"8080\"");
        if (socket.accept && table->find("deliver") == nullptr)
            socket.deliver = Deliver::stdio; // what a program that knows nothing of it can do with one connection
        spec_.sockets.push_back(std::move(socket));
    }
}

void SpecReader::triggers(const Member& m) {
    for (const Value* table : in_.tables(m)) {
        const auto path = fmt::format("start-on.{}", spec_.triggers.size());
        spec_.origins[path] = table->at;
        if (table->members.size() != 1)
            in_.complain(table->at, "a [[start-on]] says one thing to wait for",
                         fmt::format("write one of these keys: {}; and one [[start-on]] for each",
                                     fmt::join(trigger_keys(), ", ")));
        for (const auto& member : table->members) {
            const auto key = std::ranges::find(trigger_keys(), member.key);
            if (key == trigger_keys().end()) {
                unknown("start-on", member, trigger_keys());
                continue;
            }
            note(path + "." + member.key, member);
            if (const auto text = in_.scalar(member))
                spec_.triggers.push_back({static_cast<TriggerSpec::Kind>(key - trigger_keys().begin()), *text});
        }
    }
}

void SpecReader::resources(const Member& m) {
    if (m.value.kind != Value::Kind::table)
        return in_.complain(m.value.at, fmt::format("'resources' must be a table, not {}", kind_name(m.value.kind)),
                            "write [resources] and below it memory-max = \"512M\"");
    auto& to = spec_.resources;
    for (const auto& member : m.value.members) {
        const auto known = resource_keys();
        if (std::ranges::find(known, member.key) == known.end()) {
            unknown("resources", member, known);
            continue;
        }
        note("resources." + member.key, member);
        const auto text = in_.scalar(member);
        if (!text)
            continue;
        const auto key = std::ranges::find(resource_table(), member.key, &ResourceKey::key);
        to.*key->value = in_.take(member, key->check(*text));
    }
}

} // namespace

std::span<const std::string_view> top_level_keys() {
    static const auto names = [] {
        std::vector<std::string_view> list;
        for (const auto& key : SpecReader::keys)
            list.push_back(key.name);
        return list;
    }();
    return names;
}

std::span<const std::string_view> socket_keys() {
    static constexpr std::array<std::string_view, 13> names{"listen",
                                                            "type",
                                                            "port",
                                                            "path",
                                                            "deliver",
                                                            "name",
                                                            "backlog",
                                                            "accept",
                                                            "max-connections",
                                                            "max-connections-per-source",
                                                            "mode",
                                                            "user",
                                                            "group"};
    return names;
}

std::span<const std::string_view> mount_keys() {
    static constexpr std::array<std::string_view, 5> names{"type", "source", "target", "read-only", "options"};
    return names;
}

std::string_view refused_key(std::string_view table, std::string_view key) {
    if (table == "socket" && key == "standby")
        return "'standby' is about the whole container: write it above the first [[socket]]";
    if (table == "socket" && key == "idle-timeout")
        return "'idle-timeout' is about the whole container: write it above the first [[socket]]";
    if (table == "socket" && key == "warm-pool")
        return "'warm-pool' is about the whole container: write it above the first [[socket]]";
    if (table == "socket" && key == "protocol")
        return "a [[socket]] has a 'type': \"stream\" (TCP) or \"datagram\" (UDP)";
    if (table == "start-on" && key == "bus-name")
        return "'bus-name' is not in this version of ctrd: who may own a name of the host's bus is root there, if it "
               "is root "
               "in its container";
    return {};
}

UnitSpec read_spec(std::string_view name, const Value& document, Diagnostics& problems) {
    UnitSpec spec;
    spec.name = name;
    spec.origins[""] = document.at;
    SpecReader{spec, problems}.read(document);
    return spec;
}

} // namespace ctrd::config

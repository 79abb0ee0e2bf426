#include "config/oci.hpp"

#include "config/bundle.hpp"
#include "config/checks.hpp"
#include "config/image.hpp"
#include "config/seccomp.hpp"
#include "config/syntax.hpp"
#include "config/users.hpp"
#include "ctrd/oci/parse.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

namespace ctrd::config {
namespace {

using Json = nlohmann::json;

constexpr std::string_view default_path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

Json mount(const char* destination, const char* type, const char* source, std::vector<std::string> options) {
    return {{"destination", destination}, {"type", type}, {"source", source}, {"options", std::move(options)}};
}

Json default_mounts() {
    return Json::array({
        mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}),
        mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
        mount("/dev/pts", "devpts", "devpts",
              {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
        mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}),
        mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
        mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}),
    });
}

/// What tells about the host or reaches into it through proc and sysfs.
Json masked_paths() {
    return {"/proc/acpi",       "/proc/asound",        "/proc/interrupts",  "/proc/kcore",
            "/proc/keys",       "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi",
            "/proc/timer_list", "/proc/timer_stats",   "/sys/dev/block",    "/sys/devices/virtual/powercap",
            "/sys/firmware",    "/sys/fs/selinux"};
}

Json readonly_paths() { return {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}; }

/// An image's rootfs is nowhere on the host: the path is one that everybody may have in a bundle.
Json rootfs_base(const UnitSpec& spec) {
    return {{"ociVersion", "1.0.2"},
            {"root", {{"path", spec.rootfs ? clean_path(*spec.rootfs) : "rootfs"}}},
            {"hostname", spec.name},
            {"mounts", default_mounts()},
            {"process", {{"cwd", "/"}, {"env", {std::string{default_path}}}}},
            {"linux",
             {{"namespaces", Json::array()}, {"maskedPaths", masked_paths()}, {"readonlyPaths", readonly_paths()}}}};
}

/// 0: for ever.
std::uint64_t stop_timeout_ms(const UnitSpec& spec) {
    return spec.stop_timeout_us == UnitSpec::infinity ? 0 : std::max<std::uint64_t>(1, spec.stop_timeout_us / 1000);
}

class Builder {
public:
    Builder(const UnitSpec& spec, const Facts& facts, const OciOptions& options)
        : spec_{spec}, facts_{facts}, options_{options} {}
    Outcome<OciResult> build();

private:
    void complain(const std::string& key, const Error& error) {
        problems_.push_back({origin_of(spec_, key), fmt::format("'{}': {}", key, error.message), error.hint});
    }
    void complain_of_image(const std::string& what, const Error& error) {
        problems_.push_back({origin_of(spec_, "image"),
                             fmt::format("image '{}': {}", *spec_.image, printable(what + error.message)), error.hint});
    }
    void set_process();
    void take_image_environment(Json& env) const;
    void add_image_volumes();
    void set_user();
    void set_environment();
    void set_capabilities();
    void set_namespaces();
    void set_private_users();
    void set_up_systemd();
    void add_mounts();
    void set_seccomp();
    void add_ctrd_key();
    Json& process() { return config_["process"]; }
    [[nodiscard]] bool has_terminal() const { return options_.terminal || spec_.terminal; }

    const UnitSpec& spec_;
    const Facts& facts_;
    const OciOptions& options_;
    Json config_;
    Diagnostics problems_;
};

void Builder::set_process() {
    process()["terminal"] = has_terminal();
    if (!spec_.command.empty())
        process()["args"] = spec_.command;
    if (spec_.working_directory)
        process()["cwd"] = clean_path(*spec_.working_directory);
    if (spec_.no_new_privileges || !process().contains("noNewPrivileges"))
        process()["noNewPrivileges"] = spec_.no_new_privileges.value_or(false);
    if (spec_.hostname)
        config_["hostname"] = *spec_.hostname;
    if (spec_.read_only || !config_["root"].contains("readonly"))
        config_["root"]["readonly"] = spec_.read_only.value_or(false);
}

/// The variable of an environment array, "NAME=value", if it is there.
Json* find_variable(Json& env, const std::string& name) {
    const auto it = std::find_if(env.begin(), env.end(), [&](const Json& entry) {
        return entry.get_ref<const std::string&>().starts_with(name + "=");
    });
    return it == env.end() ? nullptr : &*it;
}

void set_variable(Json& env, const std::string& name, const std::string& value, bool replace) {
    if (Json* there = find_variable(env, name)) {
        if (replace)
            *there = name + "=" + value;
        return;
    }
    env.push_back(name + "=" + value);
}

void Builder::set_user() {
    // A bundle's own user is already in ids; its HOME is what its maker put into env.
    if (!spec_.user && spec_.bundle)
        return;
    const bool images_own = !spec_.user && facts_.image && !facts_.image->config.user.empty();
    const auto user =
        resolve_user(images_own ? facts_.image->config.user : spec_.user.value_or("0"), facts_.passwd, facts_.group);
    if (!user && images_own)
        return complain_of_image("its user: ", user.error());
    if (!user)
        return complain("user", user.error());
    Json& to = process()["user"];
    to["uid"] = user->uid;
    to["gid"] = user->gid;
    to["additionalGids"] = user->additional_gids;
    to.erase("username");
    set_variable(process()["env"], "HOME", user->home, spec_.user.has_value());
}

/// In its order. One that stands there twice has its last value, as in a shell.
void Builder::take_image_environment(Json& env) const {
    if (!facts_.image)
        return;
    for (const auto& [name, value] : facts_.image->config.environment)
        set_variable(env, name, value, true);
}

/// Who makes an image expects them to be there, also where no layer has such a folder.
void Builder::add_image_volumes() {
    std::string folders;
    if (facts_.image)
        for (const std::string& volume : facts_.image->config.volumes)
            if (check_absolute_path(volume))
                folders += clean_path(volume) + "\n";
    if (!folders.empty())
        config_["annotations"]["io.ctrd.folders"] = std::move(folders);
}

void Builder::set_environment() {
    Json& env = process()["env"];
    if (!env.is_array())
        env = Json::array();
    take_image_environment(env);
    if (has_terminal())
        set_variable(env, "TERM", "xterm", false);
    set_variable(env, "container", "ctrd", false); // systemd and others look at it to know that they are in one
    set_user();
    for (const auto& [name, value] : spec_.environment)
        set_variable(env, name, value, true);
}

void Builder::set_capabilities() {
    if (!spec_.capabilities && spec_.bundle)
        return;
    std::vector<std::string> names;
    if (!spec_.capabilities) {
        names.assign(default_capabilities().begin(), default_capabilities().end());
        if (runs_systemd(spec_)) // it ends its pid namespace by it, and nothing else
            names.emplace_back("CAP_SYS_BOOT");
    } else if (*spec_.capabilities == std::vector<std::string>{"ALL"})
        names.assign(all_capabilities().begin(), all_capabilities().end());
    else
        for (const auto& name : *spec_.capabilities)
            names.emplace_back(full_capability_name(name));
    std::ranges::sort(names);
    const auto repeated = std::ranges::unique(names);
    names.erase(repeated.begin(), repeated.end());
    // Nothing inheritable or ambient: an exec in the container can't gain by a file's own inheritable set.
    process()["capabilities"] = {{"bounding", names},
                                 {"effective", names},
                                 {"permitted", names},
                                 {"inheritable", Json::array()},
                                 {"ambient", Json::array()}};
}

void Builder::set_namespaces() {
    Json& list = config_["linux"]["namespaces"];
    if (!list.is_array())
        list = Json::array();
    const auto has = [&](std::string_view type) {
        return std::any_of(list.begin(), list.end(), [&](const Json& ns) { return ns["type"] == type; });
    };
    for (const char* type : {"pid", "mount", "ipc", "uts", "cgroup"})
        if (!has(type))
            list.push_back({{"type", type}});
    const bool own_network = spec_.network ? *spec_.network == Network::none : (!spec_.bundle || has("network"));
    if (spec_.network || !own_network) {
        // The declaration decides: a path that the bundle's maker meant to join is gone with the rest.
        list.erase(std::remove_if(list.begin(), list.end(), [](const Json& ns) { return ns["type"] == "network"; }),
                   list.end());
    }
    if (own_network && !has("network"))
        list.push_back({{"type", "network"}});
}

/// A range that is picked is known at a start only. A sysfs shows its network, so one of the host's network can't be
/// mounted by who is no root there: the host's own is bound.
void Builder::set_private_users() {
    if (!spec_.private_users)
        return;
    Json& linux_object = config_["linux"];
    linux_object["namespaces"].push_back({{"type", "user"}});
    if (const auto& users = *spec_.private_users; !users.pick) {
        const Json mappings{{{"containerID", 0}, {"hostID", users.first}, {"size", users.count}}};
        linux_object["uidMappings"] = mappings;
        linux_object["gidMappings"] = mappings;
    }
    if (spec_.network != Network::host)
        return;
    for (auto& one : config_["mounts"])
        if (one["destination"] == "/sys")
            one = mount("/sys", "bind", "/sys", {"rbind", "nosuid", "noexec", "nodev", "rro"});
}

/// What systemd as PID 1 needs of whoever made the container (systemd's Container Interface): a /run of its own, and
/// its own part of the cgroup tree to divide.
void Builder::set_up_systemd() {
    if (!runs_systemd(spec_))
        return;
    Json& list = config_["mounts"];
    if (!list.is_array())
        list = Json::array();
    for (auto& one : list)
        if (one.value("type", "") == "cgroup" && one.contains("options"))
            for (auto& option : one["options"])
                option = option == "ro" ? Json("rw") : option;
    const auto has = [&](std::string_view destination) {
        return std::any_of(list.begin(), list.end(), [&](const Json& m) { return m["destination"] == destination; });
    };
    if (!has("/run"))
        list.push_back(mount("/run", "tmpfs", "tmpfs", {"nosuid", "nodev", "strictatime", "mode=755", "size=20%"}));
    if (!has("/run/lock"))
        list.push_back(mount("/run/lock", "tmpfs", "tmpfs", {"nosuid", "nodev", "noexec", "mode=1777", "size=5m"}));
}

void Builder::add_mounts() {
    Json& list = config_["mounts"];
    if (!list.is_array())
        list = Json::array();
    for (const auto& one : spec_.mounts) {
        const bool bind = one.type == MountType::bind;
        std::vector<std::string> options = bind ? std::vector<std::string>{"rbind", "rprivate", "nosuid", "nodev"}
                                                : std::vector<std::string>{"nosuid", "nodev"};
        options.insert(options.end(), one.options.begin(), one.options.end());
        if (one.read_only)
            options.emplace_back(bind ? "rro" : "ro"); // what is mounted below the source is read-only too
        const auto target = clean_path(one.target);
        list.erase(std::remove_if(list.begin(), list.end(), [&](const Json& m) { return m["destination"] == target; }),
                   list.end());
        list.push_back({{"destination", target},
                        {"type", bind ? "bind" : "tmpfs"},
                        {"source", bind ? clean_path(one.source) : "tmpfs"},
                        {"options", options}});
    }
}

void Builder::set_seccomp() {
    if (!spec_.seccomp && spec_.bundle)
        return;
    Json& linux_object = config_["linux"];
    const auto which = spec_.seccomp.value_or("default");
    if (which == "unconfined") {
        linux_object.erase("seccomp");
        return;
    }
    std::vector<std::string> held;
    if (const auto& capabilities = process()["capabilities"];
        capabilities.is_object() && capabilities.contains("bounding"))
        held = capabilities["bounding"].get<std::vector<std::string>>();
    auto profile = which == "default" ? default_seccomp(held) : parse_seccomp_profile(facts_.seccomp_profile);
    if (!profile)
        return complain("seccomp", Error{profile.error().code, fmt::format("'{}': {}", which, profile.error().message),
                                         profile.error().hint});
    linux_object["seccomp"] = *std::move(profile);
}

/// Only what was asked for: ctrd looks after those that have the key, and passes over the others.
Json standby_of(const UnitSpec& spec) {
    constexpr std::array<std::string_view, 3> modes{"stopped", "created", "frozen"};
    const auto has_limit = [](std::uint64_t us) { return us != UnitSpec::infinity; };
    if (accepts(spec))
        return {}; // systemd ends those
    if (spec.standby == Standby::stopped && !has_limit(spec.idle_timeout_us) && !has_limit(spec.max_lifetime_us))
        return {};
    Json json{{"mode", modes.at(static_cast<std::size_t>(spec.standby))}};
    if (start_of(spec) == Start::boot)
        json["always_there"] = true;
    if (has_limit(spec.idle_timeout_us)) {
        json["idle_timeout_ms"] = spec.idle_timeout_us / 1000;
        json["graceful"] = spec.idle_stop == IdleStop::graceful;
    }
    if (spec.idle_cpu_permille)
        json["idle_cpu_permille"] = *spec.idle_cpu_permille;
    if (spec.reclaim_memory)
        json["reclaim_memory"] = true;
    if (has_limit(spec.max_lifetime_us))
        json["max_lifetime_ms"] = spec.max_lifetime_us / 1000;
    return json;
}

void Builder::add_ctrd_key() {
    constexpr std::array<std::string_view, 5> deliver_words{"adopt", "pass", "proxy", "auto", "stdio"};
    Json sockets = Json::array();
    for (const auto& socket : spec_.sockets) {
        Json one{{"name", socket.name},
                 {"listen", socket.listen},
                 {"deliver", deliver_words.at(static_cast<std::size_t>(socket.deliver))},
                 {"port", socket.port}};
        if (socket.backlog)
            one["backlog"] = *socket.backlog;
        if (socket.datagram)
            one["type"] = "datagram";
        if (!socket.path.empty())
            one["path"] = clean_path(socket.path);
        if (socket.of_range)
            one["of_range"] = true;
        sockets.push_back(std::move(one));
    }
    config_["ctrd"] = {{"name", spec_.name},
                       {"source", spec_.image ? *spec_.image : clean_path(source_of(spec_))},
                       {"stop_signal", spec_.stop_signal},
                       {"machine_shell", has_machine_shell(spec_)},
                       {"ready_timeout_ms", std::max<std::uint64_t>(1, spec_.ready_timeout_us / 1000)},
                       {"sockets", std::move(sockets)}};
    if (facts_.image) {
        Json& image = config_["ctrd"]["image"];
        image = {{"name", *spec_.image}, {"digest", facts_.image->digest.text()}, {"layers", facts_.image->layers}};
        if (forgets_changes(spec_))
            image["volatile"] = true;
        if (spec_.disk_max)
            image["disk_max"] = *spec_.disk_max;
    }
    if (spec_.private_users)
        config_["ctrd"]["private_users"] = true;
    if (accepts(spec_))
        config_["ctrd"]["accept"] = true;
    if (spec_.warm_pool)
        config_["ctrd"]["warm_pool"] = {{"size", *spec_.warm_pool}, {"max_connections", most_connections(spec_)}};
    if (auto standby = standby_of(spec_); !standby.is_null())
        config_["ctrd"]["standby"] = std::move(standby);
    if (runs_systemd(spec_))
        config_["ctrd"]["systemd"] = true;
    if (!options_.unit_signal.empty() && options_.unit_signal != spec_.stop_signal && !spec_.init)
        config_["ctrd"]["sends_stop_signal"] = true;
    if (awaits_word(spec_))
        config_["ctrd"]["notify"] = true;
    if (spec_.link_journal != LinkJournal::no)
        config_["ctrd"]["link_journal"] = spec_.link_journal == LinkJournal::host ? "host" : "try-host";
    if (const auto names = name_files(spec_); !names.over.empty())
        config_["ctrd"]["names"] = names.over;
    if (pipes_output(spec_))
        config_["ctrd"]["output"] = "pipe";
    if (spec_.init)
        config_["ctrd"].update({{"init", true}, {"stop_timeout_ms", stop_timeout_ms(spec_)}});
}

/// The text, proved to be what ctr-run will accept.
Outcome<std::string> dump(const Json& config, const Location& at) {
    std::string text;
    try {
        text = config.dump(1, '\t');
    } catch (const Json::exception&) {
        return refuse({{at, "a value is not valid UTF-8", "a config.json can hold nothing else"}});
    }
    if (auto parsed = oci::parse(text); !parsed)
        return refuse({{at, parsed.error().message, parsed.error().hint}});
    return text;
}

Outcome<OciResult> Builder::build() {
    OciResult result;
    result.resources = spec_.resources;
    if (spec_.bundle) {
        auto bundle = read_bundle(spec_, facts_.bundle_config, options_.declared);
        if (!bundle)
            return refuse(std::move(bundle.error()));
        config_ = std::move(bundle->config);
        merge_resources(result.resources, bundle->resources);
    } else {
        config_ = rootfs_base(spec_);
    }
    set_process();
    set_environment();
    add_image_volumes();
    set_capabilities();
    set_namespaces();
    set_private_users();
    set_up_systemd();
    add_mounts();
    set_seccomp();
    if (options_.declared)
        add_ctrd_key();
    if (!problems_.empty())
        return refuse(std::move(problems_));
    auto text = dump(config_, origin_of(spec_, source_key(spec_)));
    if (!text)
        return refuse(std::move(text.error()));
    result.json = *std::move(text);
    return result;
}

} // namespace

Outcome<OciResult> make_oci(const UnitSpec& spec, const Facts& facts, const OciOptions& options) {
    return Builder{spec, facts, options}.build();
}

} // namespace ctrd::config

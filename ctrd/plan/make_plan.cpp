#include "ctrd/plan/mount_options.hpp"
#include "ctrd/plan/plan.hpp"
#include "ctrd/plan/sysctl.hpp"

#include <linux/mount.h>
#include <linux/sched.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <set>
#include <string_view>

namespace ctrd::plan {
namespace {

constexpr std::uint64_t ms_rec = 16384;
constexpr std::uint64_t ms_private = 1UL << 18;
constexpr std::uint64_t ms_slave = 1UL << 19;
constexpr std::uint64_t ms_shared = 1UL << 20;

class Planner {
public:
    Planner(const oci::Spec& spec, const HostFacts& host) : spec_{spec}, host_{host} {}

    Result<Plan> make() {
        TRY_VOID(plan_namespaces());
        TRY_VOID(plan_rootfs());
        plan_folders();
        for (const oci::Mount& mount : spec_.mounts)
            TRY_VOID(plan_mount(mount));
        for (const Offer& offer : host_.offers)
            plan_offer(offer);
        if (host_.is_machine)
            add(KeepOutHostBus{"/var/run/dbus/system_bus_socket",
                               "/run/dbus/system_bus_socket"}); // as machined spells it
        TRY_VOID(plan_devices());
        if (spec_.process->terminal)
            add(AttachTerminal{host_.console_size ? host_.console_size : spec_.process->console_size});
        TRY_VOID(plan_hooks());
        for (WriteSysctl& sysctl : TRY(plan_sysctls(spec_)))
            add(std::move(sysctl));
        plan_protection();
        TRY_VOID(plan_names());
        add(PivotRoot{host_.no_pivot, seen_by_hooks()});
        if (const std::uint64_t flags = propagation_flag(spec_.rootfs_propagation); flags != 0)
            add(SetPropagation{flags});
        plan_.process = TRY(make_process_plan(*spec_.process, spec_));
        plan_.mount_label = spec_.mount_label;
        plan_.intel_rdt = spec_.intel_rdt;
        plan_.resources = spec_.resources;
        plan_device_rules();
        return std::move(plan_);
    }

private:
    template <class S> void add(S&& step) { plan_.steps.emplace_back(std::forward<S>(step)); }
    [[nodiscard]] bool makes_new(std::uint64_t flag) const { return (plan_.clone_flags & flag) != 0; }

    [[nodiscard]] std::string host_path(const std::string& path) const {
        return path.starts_with('/') ? path : host_.bundle + "/" + path;
    }

    /// Where in the container a source is that is in the rootfs; empty for one that is elsewhere.
    [[nodiscard]] std::string place_in_rootfs(const std::string& source) const {
        std::string root = host_path(spec_.root_path);
        while (root.ends_with('/'))
            root.pop_back();
        const bool climbs = source.find("/../") != std::string::npos || source.ends_with("/..");
        return root.empty() || climbs || !source.starts_with(root + "/") ? "" : source.substr(root.size());
    }

    /// They expect the rootfs where the host has it.
    [[nodiscard]] bool seen_by_hooks() const {
        return !spec_.hooks.create_runtime.empty() || !spec_.hooks.create_container.empty();
    }

    [[nodiscard]] bool has_own(std::uint64_t flag) const {
        return std::ranges::any_of(spec_.namespaces, [&](const auto& ns) { return ns.clone_flag == flag; });
    }

    Result<void> plan_namespaces() {
        for (const oci::Namespace& ns : spec_.namespaces) {
            if (ns.path.empty())
                plan_.clone_flags |= ns.clone_flag;
            else if (ns.clone_flag == CLONE_NEWNS)
                return fail(Error{std::errc::not_supported,
                                  "linux.namespaces: a mount namespace that others use can't be joined: what the "
                                  "container mounts would be theirs, and would stay behind",
                                  "leave out its path to get a new one"});
            else
                plan_.joins.push_back({ns.type, ns.path, ns.clone_flag});
        }
        if (!makes_new(CLONE_NEWNS))
            return fail(bad_input("linux.namespaces: a container needs a mount namespace of its own",
                                  "add {\"type\": \"mount\"}"));
        TRY_VOID(plan_id_mappings());
        TRY_VOID(plan_time());
        if (!spec_.net_devices.empty() && !has_own(CLONE_NEWNET))
            return fail(bad_input("linux.netDevices need a network namespace that is not the host's",
                                  "add {\"type\": \"network\"} to linux.namespaces"));
        plan_.net_devices = spec_.net_devices;
        if (makes_new(CLONE_NEWNET))
            add(RaiseLoopback{});
        return {};
    }

    Result<void> plan_id_mappings() {
        plan_.in_user_namespace = has_own(CLONE_NEWUSER);
        if (spec_.uid_mappings.empty() != spec_.gid_mappings.empty())
            return fail(bad_input("linux.uidMappings and gidMappings go together"));
        if (spec_.uid_mappings.empty() ? makes_new(CLONE_NEWUSER) : !plan_.in_user_namespace)
            return fail(bad_input("linux.uidMappings and gidMappings go with a new user namespace, and it with both"));
        if (!makes_new(CLONE_NEWUSER))
            return {}; // one that is joined has its maps already
        plan_.uid_mappings = spec_.uid_mappings;
        plan_.gid_mappings = spec_.gid_mappings;
        return {};
    }

    Result<void> plan_time() {
        if (!spec_.time_offsets.empty() && !makes_new(CLONE_NEWTIME))
            return fail(bad_input("linux.timeOffsets need a new time namespace: the clocks would be the host's",
                                  "add {\"type\": \"time\"} to linux.namespaces"));
        plan_.time_offsets = spec_.time_offsets;
        return {};
    }

    Result<void> plan_hooks() {
        plan_.hooks = spec_.hooks;
        // Who shares the pid namespace and owns the user namespace may look into the hook, and sees the host's files
        // there.
        const bool joins_pid = has_own(CLONE_NEWPID) && !makes_new(CLONE_NEWPID);
        if (!spec_.hooks.create_container.empty() && plan_.in_user_namespace && joins_pid)
            return fail(bad_input("hooks.createContainer can't run in a user namespace of its own with a pid namespace "
                                  "of others"));
        if (!spec_.hooks.create_runtime.empty())
            add(AwaitRuntimeHooks{});
        if (!spec_.hooks.create_container.empty())
            add(RunContainerHooks{});
        return {};
    }

    Result<void> plan_rootfs() {
        const std::uint64_t wanted = propagation_flag(spec_.rootfs_propagation);
        if (wanted == 0 && !spec_.rootfs_propagation.empty())
            return fail(
                bad_input("linux.rootfsPropagation: '" + spec_.rootfs_propagation + "' is not a propagation type"));
        // Whatever the rootfs wants, what we do in our copy of the host's tree must not reach the host.
        add(SetPropagation{ms_rec | ((wanted & ms_slave) != 0 || wanted == 0 ? ms_slave : ms_private)});
        const std::uint64_t own = (wanted & ms_slave) != 0 ? ms_slave : ms_private;
        if (!host_.stack) {
            add(AttachRootfs{host_path(spec_.root_path), own, seen_by_hooks(),
                             host_.maps_rootfs ? own_ids(true) : std::nullopt});
            return {};
        }
        if (seen_by_hooks())
            return fail(Error{std::errc::not_supported, "hooks: an image's rootfs is nowhere on the host for them"});
        if (plan_.in_user_namespace && plan_.uid_mappings.empty())
            return fail(Error{std::errc::not_supported,
                              "an image's rootfs can't be stacked in a user namespace of others: its ids are not known",
                              "leave out the path of the user namespace, and give it uidMappings and gidMappings"});
        add(StackRootfs{*host_.stack, own, own_ids(false)});
        return {};
    }

    /// Those of the container, if it has any.
    [[nodiscard]] std::optional<IdMap> own_ids(bool recursive) const {
        if (plan_.uid_mappings.empty())
            return {};
        return IdMap{plan_.uid_mappings, plan_.gid_mappings, recursive};
    }

    /// Annotation io.ctrd.folders: what the rootfs is to have, one a line. Before the mounts: nothing of theirs is
    /// touched.
    void plan_folders() {
        const auto folders = spec_.annotations.find("io.ctrd.folders");
        std::string_view rest = folders == spec_.annotations.end() ? std::string_view{} : folders->second;
        while (!rest.empty()) {
            const auto path = rest.substr(0, rest.find('\n'));
            rest.remove_prefix(std::min(rest.size(), path.size() + 1));
            if (path.starts_with('/'))
                add(MakeFolder{std::string{path}});
        }
    }

    Result<void> plan_mount(const oci::Mount& mount) {
        if (mount.destination.find("/../") != std::string::npos || mount.destination.ends_with("/.."))
            return fail(bad_input("mounts: destination '" + mount.destination + "' holds '..'"));
        MountOptions options = TRY(parse_mount_options(mount));
        // Older configurations leave the slash out; it is relative to the rootfs either way.
        std::string destination = mount.destination.starts_with('/') ? mount.destination : "/" + mount.destination;
        if (std::string inside = place_in_rootfs(destination); !inside.empty())
            destination = std::move(inside); // the rootfs' own path on the host before it, which runc takes away, too
        if (options.remount)
            return plan_remount(mount, std::move(destination), std::move(options));
        if (options.bind || mount.type == "bind")
            return plan_bind(mount, std::move(destination), std::move(options));
        if (!mount.uid_mappings.empty() || options.id_map != MountOptions::IdMapping::none)
            return fail(Error{std::errc::not_supported,
                              "mounts: '" + mount.destination + "': only bind mounts can have id mappings",
                              "a new file system belongs to the container's own ids from the start"});
        if (options.copy_up && mount.type != "tmpfs")
            return fail(bad_input("mounts: '" + mount.destination + "': tmpcopyup is an option of tmpfs"));
        if (mount.type.empty())
            return fail(bad_input("mounts: '" + mount.destination + "' has neither a type nor the option bind"));
        if (mount.type == "cgroup" || mount.type == "cgroup2")
            return plan_cgroup(std::move(destination), options);
        // Later mounts and devices need their mount points made in it: a tmpfs turns read-only after them.
        if (mount.type == "tmpfs" && (options.attributes.set & MOUNT_ATTR_RDONLY) != 0) {
            options.attributes.set &= ~std::uint64_t{MOUNT_ATTR_RDONLY};
            readonly_later_.push_back(destination);
        }
        if (!spec_.mount_label.empty() && takes_label(mount.type))
            options.data.push_back({"context", spec_.mount_label, false});
        add(MountFs{mount.type, mount.source, std::move(destination), std::move(options.data),
                    std::move(options.attributes), options.copy_up});
        return {};
    }

    /// Those of the kernel's own file systems that SELinux does not label by itself.
    static bool takes_label(const std::string& type) {
        return type == "tmpfs" || type == "devpts" || type == "mqueue" || type == "ramfs" || type == "overlay";
    }

    Result<void> plan_remount(const oci::Mount& mount, std::string destination, MountOptions options) {
        if (!options.data.empty())
            return fail(bad_input("mounts: '" + options.data.front().key + "' can't be changed by a remount ('" +
                                  mount.destination + "')"));
        add(Remount{std::move(destination), std::move(options.attributes)});
        return {};
    }

    /// The mount's own mappings, or else the container's, which a user namespace that it joins has already.
    Result<std::optional<IdMap>> plan_id_map(const oci::Mount& mount, const MountOptions& options) const {
        const bool asked = options.id_map != MountOptions::IdMapping::none;
        if (!asked && mount.uid_mappings.empty())
            return std::optional<IdMap>{};
        const bool recursive = options.id_map == MountOptions::IdMapping::recursive;
        const bool own = !mount.uid_mappings.empty();
        const auto joined = std::ranges::find(plan_.joins, CLONE_NEWUSER, &JoinNamespace::clone_flag);
        if (!own && spec_.uid_mappings.empty() && joined != plan_.joins.end())
            return std::optional{IdMap{{}, {}, recursive, joined->host_path}};
        if (!own && spec_.uid_mappings.empty())
            return fail(bad_input("mounts: '" + mount.destination +
                                      "': idmap needs mappings: neither the mount nor the container has any",
                                  "give the mount uidMappings and gidMappings"));
        return std::optional{IdMap{own ? mount.uid_mappings : spec_.uid_mappings,
                                   own ? mount.gid_mappings : spec_.gid_mappings, recursive}};
    }

    /// The host's cgroups are a mount below its /sys. Where that is shown read-only, who has the right to write to
    /// them, as a user has in those of its own session, must not reach them either: CVE-2023-25809.
    static void protect_cgroups(const oci::Mount& mount, MountOptions& options) {
        const std::string_view path = std::string_view{mount.source}.substr(0, mount.source.find_last_not_of('/') + 1);
        auto& attributes = options.attributes;
        if ((path == "/sys" || path == "/sys/fs") && options.recursive_bind &&
            (attributes.set & MOUNT_ATTR_RDONLY) != 0 && (attributes.clear_recursive & MOUNT_ATTR_RDONLY) == 0)
            attributes.set_recursive |= MOUNT_ATTR_RDONLY;
    }

    Result<void> plan_bind(const oci::Mount& mount, std::string destination, MountOptions options) {
        if (mount.source.empty())
            return fail(bad_input("mounts: the bind mount on '" + mount.destination + "' has no source"));
        if (!options.data.empty())
            return fail(bad_input("mounts: '" + options.data.front().key + "' is not an option of a bind mount ('" +
                                  mount.destination + "')"));
        auto& propagation = options.attributes.propagation;
        const auto is_shared = [](std::uint64_t flags) { return (flags & ms_shared) != 0; };
        const bool both_ways =
            std::ranges::any_of(propagation, is_shared) && is_shared(propagation_flag(spec_.rootfs_propagation));
        // The clone is a peer of the host's mount. It stays one only when rootfs and mount both ask for that.
        if (!both_ways)
            propagation.insert(propagation.begin(), ms_rec | ms_slave);
        if (destination == "/dev")
            own_dev_ = false;
        protect_cgroups(mount, options);
        auto id_map = TRY(plan_id_map(mount, options));
        std::string source = host_path(mount.source);
        // Ids are mapped on a clone that the host's root has made.
        std::string inside = id_map || host_.stack ? "" : place_in_rootfs(source);
        add(BindMount{std::move(source), std::move(destination), options.recursive_bind, std::move(options.attributes),
                      std::move(id_map), false, std::move(inside)});
        return {};
    }

    /// Read-only also for who owns it: a socket that is connected to needs no more.
    void plan_offer(const Offer& offer) {
        constexpr std::uint64_t attributes =
            MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
        BindMount step{offer.host_path, offer.destination, false, {}, {}, true, {}};
        step.attributes.set = attributes;
        step.attributes.propagation = {offer.follows ? ms_slave : ms_private};
        add(std::move(step));
    }

    Result<void> plan_cgroup(std::string destination, MountOptions& options) {
        if (makes_new(CLONE_NEWCGROUP))
            add(MountFs{"cgroup2", "cgroup", std::move(destination), {}, std::move(options.attributes)});
        else
            add(BindCgroup{std::move(destination), std::move(options.attributes)});
        return {};
    }

    void plan_device(const oci::Device& device) {
        // In a user namespace nobody may make device nodes: the host's own are bound instead.
        if (plan_.in_user_namespace)
            add(BindMount{device.path, device.path, false, {.propagation = {ms_private}}, {}, false, {}});
        else
            add(MakeDevice{device.type, device.path, device.major, device.minor, device.mode, device.uid, device.gid});
    }

    Result<void> plan_devices() {
        const std::array<oci::Device, 6> defaults{
            oci::Device{'c', "/dev/null", 1, 3},    oci::Device{'c', "/dev/zero", 1, 5},
            oci::Device{'c', "/dev/full", 1, 7},    oci::Device{'c', "/dev/random", 1, 8},
            oci::Device{'c', "/dev/urandom", 1, 9}, oci::Device{'c', "/dev/tty", 5, 0}};
        if (own_dev_) {
            for (const oci::Device& device : defaults)
                if (std::ranges::find(spec_.devices, device.path, &oci::Device::path) == spec_.devices.end())
                    plan_device(device);
            add(MakeSymlink{"/proc/self/fd", "/dev/fd"});
            add(MakeSymlink{"/proc/self/fd/0", "/dev/stdin"});
            add(MakeSymlink{"/proc/self/fd/1", "/dev/stdout"});
            add(MakeSymlink{"/proc/self/fd/2", "/dev/stderr"});
            add(MakeSymlink{"pts/ptmx", "/dev/ptmx"});
        }
        for (const oci::Device& device : spec_.devices) {
            const bool is_ptmx = device.path == "/dev/ptmx" && device.major == 5 && device.minor == 2;
            if (!own_dev_ || !is_ptmx) // a multiplexer of the container's own devpts is behind the link
                plan_device(device);
        }
        return {};
    }

    /// Without rules only the devices that every container has may be used, and those that the configuration makes.
    void plan_device_rules() {
        plan_.device_rules = spec_.resources.devices;
        if (!plan_.device_rules.empty())
            return;
        for (const oci::Device& device : spec_.devices)
            if (device.type != 'p')
                plan_.device_rules.push_back({true, device.type, device.major, device.minor, "rwm"});
    }

    void plan_protection() {
        for (std::string& path : readonly_later_)
            add(Remount{std::move(path), {.set = MOUNT_ATTR_RDONLY}});
        for (const std::string& path : spec_.readonly_paths)
            add(ReadonlyPath{path});
        std::set<std::string_view> masked; // twice would be two mounts
        for (const std::string& path : spec_.masked_paths)
            if (masked.insert(path).second)
                add(MaskPath{path});
        if (!spec_.root_readonly)
            return;
        if (spec_.process && spec_.process->cwd != "/")
            add(MakeFolder{spec_.process->cwd});
        add(ReadonlyRoot{});
    }

    Result<void> plan_names() {
        if ((!spec_.hostname.empty() || !spec_.domainname.empty()) && !has_own(CLONE_NEWUTS))
            return fail(bad_input("hostname and domainname need a uts namespace: they would be the host's",
                                  "add {\"type\": \"uts\"} to linux.namespaces"));
        if (!spec_.hostname.empty())
            add(SetHostname{spec_.hostname});
        if (!spec_.domainname.empty())
            add(SetDomainname{spec_.domainname});
        return {};
    }

    const oci::Spec& spec_;
    const HostFacts& host_;
    Plan plan_{};
    bool own_dev_{true}; // false: /dev is somebody else's, bound in; nothing is made there
    std::vector<std::string> readonly_later_{};
};

/// Of a variable that is given more than once the last counts, as execve(2)'s callers expect and programs do not.
void drop_overridden(std::vector<std::string>& env) {
    std::set<std::string> seen;
    std::vector<std::string> kept;
    for (auto entry = env.rbegin(); entry != env.rend(); ++entry)
        if (seen.insert(entry->substr(0, entry->find('='))).second)
            kept.push_back(std::move(*entry));
    env.assign(std::move_iterator{kept.rbegin()}, std::move_iterator{kept.rend()});
}

std::string_view path_variable(const std::vector<std::string>& env) {
    for (const std::string_view entry : env)
        if (entry.starts_with("PATH="))
            return entry.substr(5);
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

} // namespace

Result<ProcessPlan> make_process_plan(const oci::Process& process, const std::optional<oci::Seccomp>& seccomp) {
    ProcessPlan plan{process, {}, seccomp, {}, {}, false};
    drop_overridden(plan.process.env);
    const std::string& program = process.args.front();
    if (program.find('/') != std::string::npos) {
        plan.candidates.push_back(program);
        return plan;
    }
    std::string_view rest = path_variable(plan.process.env);
    while (true) {
        const auto colon = rest.find(':');
        const auto folder = rest.substr(0, colon);
        plan.candidates.push_back(folder.empty() ? "./" + program : std::string{folder} + "/" + program);
        if (colon == std::string_view::npos)
            return plan;
        rest.remove_prefix(colon + 1);
    }
}

Result<ProcessPlan> make_process_plan(const oci::Process& process, const oci::Spec& spec) {
    ProcessPlan plan = TRY(make_process_plan(process, spec.seccomp));
    plan.personality = spec.personality;
    plan.memory_policy = spec.memory_policy;
    const auto keep = spec.annotations.find("run.oci.keep_original_groups");
    plan.keep_groups = keep != spec.annotations.end() && keep->second == "1";
    return plan;
}

Result<Plan> make_plan(const oci::Spec& spec, const HostFacts& host) {
    if (!spec.process)
        return fail(bad_input("process is missing"));
    return Planner{spec, host}.make();
}

} // namespace ctrd::plan

#include "ctrd/plan/mount_options.hpp"
#include "ctrd/plan/plan.hpp"
#include "ctrd/plan/sysctl.hpp"

#include <linux/mount.h>
#include <linux/sched.h>

#include <algorithm>
#include <array>

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
        for (const oci::Mount& mount : spec_.mounts)
            TRY_VOID(plan_mount(mount));
        TRY_VOID(plan_devices());
        if (spec_.process->terminal)
            add(AttachTerminal{spec_.process->console_size});
        for (WriteSysctl& sysctl : TRY(plan_sysctls(spec_)))
            add(std::move(sysctl));
        plan_protection();
        TRY_VOID(plan_names());
        add(PivotRoot{});
        if (const std::uint64_t flags = propagation_flag(spec_.rootfs_propagation); flags != 0)
            add(SetPropagation{flags});
        plan_.process = TRY(make_process_plan(*spec_.process, spec_.seccomp));
        plan_.resources = spec_.resources;
        plan_.limit_devices = !spec_.resources.devices.empty();
        return std::move(plan_);
    }

private:
    template <class S> void add(S&& step) { plan_.steps.emplace_back(std::forward<S>(step)); }
    [[nodiscard]] bool makes_new(std::uint64_t flag) const { return (plan_.clone_flags & flag) != 0; }

    [[nodiscard]] std::string host_path(const std::string& path) const {
        return path.starts_with('/') ? path : host_.bundle + "/" + path;
    }

    Result<void> plan_namespaces() {
        for (const oci::Namespace& ns : spec_.namespaces) {
            if (ns.path.empty())
                plan_.clone_flags |= ns.clone_flag;
            else if (ns.clone_flag == CLONE_NEWUSER || ns.clone_flag == CLONE_NEWNS)
                return fail(Error{std::errc::not_supported,
                                  "linux.namespaces: joining an existing " + ns.type +
                                      " namespace is not supported by this version of ctrd",
                                  "leave out its path to get a new one"});
            else
                plan_.joins.push_back({ns.type, ns.path, ns.clone_flag});
        }
        if (!makes_new(CLONE_NEWNS))
            return fail(bad_input("linux.namespaces: a container needs a mount namespace of its own",
                                  "add {\"type\": \"mount\"}"));
        TRY_VOID(plan_id_mappings());
        if (makes_new(CLONE_NEWNET))
            add(RaiseLoopback{});
        return {};
    }

    Result<void> plan_id_mappings() {
        const bool mapped = !spec_.uid_mappings.empty() || !spec_.gid_mappings.empty();
        if (makes_new(CLONE_NEWUSER) != mapped || spec_.uid_mappings.empty() != spec_.gid_mappings.empty())
            return fail(bad_input("linux.uidMappings and gidMappings go with a new user namespace, and it with both"));
        plan_.uid_mappings = spec_.uid_mappings;
        plan_.gid_mappings = spec_.gid_mappings;
        return {};
    }

    Result<void> plan_rootfs() {
        const std::uint64_t wanted = propagation_flag(spec_.rootfs_propagation);
        if (wanted == 0 && !spec_.rootfs_propagation.empty())
            return fail(
                bad_input("linux.rootfsPropagation: '" + spec_.rootfs_propagation + "' is not a propagation type"));
        // Whatever the rootfs wants, what we do in our copy of the host's tree must not reach the host.
        add(SetPropagation{ms_rec | ((wanted & ms_slave) != 0 || wanted == 0 ? ms_slave : ms_private)});
        add(AttachRootfs{host_path(spec_.root_path), (wanted & ms_slave) != 0 ? ms_slave : ms_private});
        return {};
    }

    Result<void> plan_mount(const oci::Mount& mount) {
        if (mount.destination.find("/../") != std::string::npos || mount.destination.ends_with("/.."))
            return fail(bad_input("mounts: destination '" + mount.destination + "' holds '..'"));
        MountOptions options = TRY(parse_mount_options(mount));
        // Older configurations leave the slash out; it is relative to the rootfs either way.
        std::string destination = mount.destination.starts_with('/') ? mount.destination : "/" + mount.destination;
        if (options.bind || mount.type == "bind")
            return plan_bind(mount, std::move(destination), std::move(options));
        if (mount.type.empty())
            return fail(bad_input("mounts: '" + mount.destination + "' has neither a type nor the option bind"));
        if (mount.type == "cgroup" || mount.type == "cgroup2")
            return plan_cgroup(std::move(destination), options);
        // Later mounts and devices need their mount points made in it: a tmpfs turns read-only after them.
        if (mount.type == "tmpfs" && (options.attributes.set & MOUNT_ATTR_RDONLY) != 0) {
            options.attributes.set &= ~std::uint64_t{MOUNT_ATTR_RDONLY};
            readonly_later_.push_back(destination);
        }
        add(MountFs{mount.type, mount.source, std::move(destination), std::move(options.data),
                    std::move(options.attributes)});
        return {};
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
        add(BindMount{host_path(mount.source), std::move(destination), options.recursive_bind,
                      std::move(options.attributes)});
        return {};
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
        if (makes_new(CLONE_NEWUSER))
            add(BindMount{device.path, device.path, false, {.propagation = {ms_private}}});
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
        for (const oci::Device& device : spec_.devices)
            plan_device(device);
        return {};
    }

    void plan_protection() {
        for (std::string& path : readonly_later_)
            add(ReadonlyPath{std::move(path)});
        for (const std::string& path : spec_.readonly_paths)
            add(ReadonlyPath{path});
        for (const std::string& path : spec_.masked_paths)
            add(MaskPath{path});
        if (spec_.root_readonly)
            add(ReadonlyRoot{});
    }

    Result<void> plan_names() {
        if ((!spec_.hostname.empty() || !spec_.domainname.empty()) && !makes_new(CLONE_NEWUTS))
            return fail(bad_input("hostname and domainname need a new uts namespace: they would be the host's",
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

std::string_view path_variable(const std::vector<std::string>& env) {
    for (const std::string_view entry : env)
        if (entry.starts_with("PATH="))
            return entry.substr(5);
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

} // namespace

Result<ProcessPlan> make_process_plan(const oci::Process& process, const std::optional<oci::Seccomp>& seccomp) {
    ProcessPlan plan{process, {}, seccomp};
    const std::string& program = process.args.front();
    if (program.find('/') != std::string::npos) {
        plan.candidates.push_back(program);
        return plan;
    }
    std::string_view rest = path_variable(process.env);
    while (true) {
        const auto colon = rest.find(':');
        const auto folder = rest.substr(0, colon);
        plan.candidates.push_back(folder.empty() ? "./" + program : std::string{folder} + "/" + program);
        if (colon == std::string_view::npos)
            return plan;
        rest.remove_prefix(colon + 1);
    }
}

Result<Plan> make_plan(const oci::Spec& spec, const HostFacts& host) {
    if (!spec.process)
        return fail(bad_input("process is missing"));
    return Planner{spec, host}.make();
}

} // namespace ctrd::plan

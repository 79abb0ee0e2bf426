#include "ctrd/plan/plan.hpp"

#include <fmt/format.h>
#include <linux/mount.h>

namespace ctrd::plan {
namespace {

std::string attributes(const MountAttributes& attributes) {
    std::string text;
    const auto word = [&](std::uint64_t bit, const char* name) {
        if (((attributes.set | attributes.set_recursive) & bit) != 0)
            text += text.empty() ? name : std::string{","} + name;
    };
    word(MOUNT_ATTR_RDONLY, "read-only");
    word(MOUNT_ATTR_NOSUID, "nosuid");
    word(MOUNT_ATTR_NODEV, "nodev");
    word(MOUNT_ATTR_NOEXEC, "noexec");
    return text.empty() ? text : " (" + text + ")";
}

const char* other_ids(const std::optional<IdMap>& map) { return map ? " with other ids" : ""; }

struct Describe {
    std::string operator()(const RaiseLoopback&) const { return "bring up the loopback interface"; }
    std::string operator()(const SetPropagation& s) const {
        return fmt::format("set the propagation of '/' to {:#x}", s.flags);
    }
    std::string operator()(const AttachRootfs& s) const {
        return fmt::format("attach the rootfs '{}'{}", s.host_path, other_ids(s.id_map));
    }
    std::string operator()(const StackRootfs& s) const {
        return fmt::format("stack {} layers of '{}' into the rootfs{}, changes go to {}", s.stack.layers.size(),
                           s.stack.store, other_ids(s.id_map),
                           s.stack.changes.empty() ? "a tmpfs" : "'" + s.stack.changes + "'");
    }
    std::string operator()(const MountFs& s) const {
        return fmt::format("mount {} on '{}'{}{}", s.type, s.destination, attributes(s.attributes),
                           s.copy_up ? " and copy what is there" : "");
    }
    std::string operator()(const Remount& s) const {
        return fmt::format("change the options of the mount on '{}'{}", s.destination, attributes(s.attributes));
    }
    std::string operator()(const BindMount& s) const {
        return fmt::format("bind '{}' on '{}'{}{}{}", s.host_source, s.destination, attributes(s.attributes),
                           other_ids(s.id_map), s.optional ? " if it can be" : "");
    }
    std::string operator()(const KeepOutHostBus& s) const {
        return fmt::format("check that '{}' is not the host's own bus", s.path);
    }
    std::string operator()(const BindCgroup& s) const {
        return fmt::format("bind the container's cgroup on '{}'{}", s.destination, attributes(s.attributes));
    }
    std::string operator()(const MakeDevice& s) const {
        return fmt::format("make the device '{}' ({} {}:{})", s.path, s.type, s.major, s.minor);
    }
    std::string operator()(const MakeSymlink& s) const { return fmt::format("link '{}' to '{}'", s.path, s.target); }
    std::string operator()(const AttachTerminal&) const { return "attach a terminal of '/dev/pts' to '/dev/console'"; }
    std::string operator()(const AwaitRuntimeHooks&) const { return "wait for the createRuntime hooks"; }
    std::string operator()(const RunContainerHooks&) const { return "run the createContainer hooks"; }
    std::string operator()(const MaskPath& s) const { return fmt::format("mask '{}'", s.path); }
    std::string operator()(const ReadonlyPath& s) const { return fmt::format("make '{}' read-only", s.path); }
    std::string operator()(const MakeFolder& s) const { return fmt::format("make the folder '{}'", s.path); }
    std::string operator()(const ReadonlyRoot&) const { return "make the rootfs read-only"; }
    std::string operator()(const SetHostname& s) const { return fmt::format("set the host name to '{}'", s.name); }
    std::string operator()(const SetDomainname& s) const { return fmt::format("set the domain name to '{}'", s.name); }
    std::string operator()(const WriteSysctl& s) const {
        return fmt::format("write '{}' to '/proc/sys/{}'", s.value, s.path);
    }
    std::string operator()(const PivotRoot& s) const {
        return s.chroot_only ? "change the root to the rootfs" : "pivot into the rootfs";
    }
};

} // namespace

std::string describe(const Step& step) { return std::visit(Describe{}, step); }

std::string describe(const Plan& plan) {
    std::string text;
    for (std::size_t i = 0; i < plan.steps.size(); ++i)
        text += fmt::format("{:>3}. {}\n", i + 1, describe(plan.steps[i]));
    return text;
}

} // namespace ctrd::plan

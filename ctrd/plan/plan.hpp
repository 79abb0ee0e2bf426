// What a start will do, as data: made from a checked Spec without a single system call, printed, compared in tests, and
// then applied step by step by ctrd/runtime. Paths in steps are the container's unless they say "host".
//
// The order of `steps` is the order of execution in the child, which begins in its new namespaces with the host's
// mounts still in view and ends, before identity and exec, pivoted into the rootfs:
//
//     loopback, propagation, rootfs, mounts, devices, links, terminal, hooks, sysctls, masks, names, pivot, propagation
#pragma once

#include "ctrd/base/result.hpp"
#include "ctrd/oci/spec.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace ctrd::plan {

/// MOUNT_ATTR_* to set and to clear, as mount_setattr(2) takes them; the second pair is for the whole tree (rro, ...).
struct MountAttributes {
    std::uint64_t set{0};
    std::uint64_t clear{0};
    std::uint64_t set_recursive{0};
    std::uint64_t clear_recursive{0};
    std::vector<std::uint64_t> propagation{}; // MS_SLAVE, MS_REC|MS_SHARED, ..., in the order given
};

struct FsOption {
    std::string key{};
    std::string value{}; // with `flag`: unused
    bool flag{false};
};

struct RaiseLoopback {};

/// mount(2) of a propagation type on the whole tree below "/".
struct SetPropagation {
    std::uint64_t flags{0};
};

/// Whose ids the files of a mount appear to have: mount_setattr(2), MOUNT_ATTR_IDMAP.
struct IdMap {
    std::vector<oci::IdMapping> uids{};
    std::vector<oci::IdMapping> gids{};
    bool recursive{false};
    std::string user_namespace{}; // host path of one that has the mappings: then none are given here
};

/// The rootfs, cloned from the host by the parent, becomes a mount of its own. Everything below is relative to it.
struct AttachRootfs {
    std::string host_path{};
    std::uint64_t propagation{0}; // MS_PRIVATE or MS_SLAVE: never a peer of the host's mount
    bool in_place{false};         // on host_path instead of "/": hooks expect it there
    std::optional<IdMap> id_map{};
};

/// An image's layers, which all who have them share, and where one container's changes to them go.
struct Stack {
    std::string store{};               // host folder: the layers are in its folder "layers"
    std::vector<std::string> layers{}; // their names, the uppermost first
    std::string changes{};             // host folder with "upper" and "work"; empty: a tmpfs, gone with the container
    bool fleeting{false};              // nobody asks for the changes after a crash: they are never waited for
};

/// The layers become one root file system by overlayfs, in the child's mount namespace and nowhere else.
struct StackRootfs {
    Stack stack{};
    std::uint64_t propagation{0};  // as in AttachRootfs
    std::optional<IdMap> id_map{}; // of the store, for layers and changes alike: what is on the disk is never mapped
};

/// A new instance of a file system: fsopen, fsconfig, fsmount, move_mount.
struct MountFs {
    std::string type{};
    std::string source{};
    std::string destination{};
    std::vector<FsOption> options{};
    MountAttributes attributes{};
    bool copy_up{false}; // tmpfs: filled with what the rootfs has at `destination`
};

/// Other options for what is mounted at `destination` already.
struct Remount {
    std::string destination{};
    MountAttributes attributes{};
};

/// A piece of the host's tree, cloned by the parent. Its kind (file or folder) decides what is made at `destination`.
/// With `inside`, of the rootfs as the steps before have left it, cloned by the child: what is a path in the rootfs for
/// the host leads nowhere else.
struct BindMount {
    std::string host_source{};
    std::string destination{};
    bool recursive{false};
    MountAttributes attributes{};
    std::optional<IdMap> id_map{};
    bool optional{false}; // where the rootfs has no place for it, the container does without
    std::string inside{};
};

/// A check: systemd-machined takes whatever is at `path` in the container for that container's own bus. With the host's
/// there, what is meant for the container would be done to the host.
struct KeepOutHostBus {
    std::string path{};
    std::string host_path{};
};

/// The container's own cgroup where it has no cgroup namespace to mount one of its own from.
struct BindCgroup {
    std::string destination{};
    MountAttributes attributes{};
};

struct MakeDevice {
    char type{'c'};
    std::string path{};
    std::uint32_t major{0};
    std::uint32_t minor{0};
    std::uint32_t mode{0666};
    std::uint32_t uid{0};
    std::uint32_t gid{0};
};

struct MakeSymlink {
    std::string target{};
    std::string path{};
};

/// A file becomes /dev/null, a folder an empty read-only tmpfs. Absent: nothing to hide.
struct MaskPath {
    std::string path{};
};

struct ReadonlyPath {
    std::string path{};
};

/// What must be there before nothing can be made any more. Best effort: who needs it says what is wrong.
struct MakeFolder {
    std::string path{};
};

struct ReadonlyRoot {};

/// A new pseudo terminal of the container's own devpts: its slave on /dev/console, its master to the console socket.
struct AttachTerminal {
    std::optional<oci::ConsoleSize> size{};
};

struct SetHostname {
    std::string name{};
};

struct SetDomainname {
    std::string name{};
};

/// `path` below /proc/sys, written through a procfs of our own that nothing in the rootfs can redirect.
struct WriteSysctl {
    std::string path{};
    std::string value{};
};

/// The child waits while the parent runs the createRuntime hooks (and the older prestart).
struct AwaitRuntimeHooks {};

/// The createContainer hooks, by the child: in the container's namespaces, their paths still the host's.
struct RunContainerHooks {};

/// With `chroot_only`: where "/" is the kernel's first file system, out of which nothing can be pivoted. The host's
/// tree then stays underneath. `in_place`: as in AttachRootfs.
struct PivotRoot {
    bool chroot_only{false};
    bool in_place{false};
};

using Step =
    std::variant<RaiseLoopback, SetPropagation, AttachRootfs, StackRootfs, MountFs, Remount, BindMount, KeepOutHostBus,
                 BindCgroup, MakeDevice, MakeSymlink, AttachTerminal, AwaitRuntimeHooks, RunContainerHooks, MaskPath,
                 ReadonlyPath, MakeFolder, ReadonlyRoot, SetHostname, SetDomainname, WriteSysctl, PivotRoot>;

/// A namespace to join, just before the child is made.
struct JoinNamespace {
    std::string type{};
    std::string host_path{};
    std::uint64_t clone_flag{0};
};

/// Who the payload is and what it runs: shared by a first process and by exec.
struct ProcessPlan {
    oci::Process process{};
    std::vector<std::string> candidates{}; // paths to try for args[0], in this order
    std::optional<oci::Seccomp> seccomp{};
    std::optional<unsigned long> personality{};
    std::optional<oci::MemoryPolicy> memory_policy{};
    bool keep_groups{false}; // annotation run.oci.keep_original_groups: the caller's supplementary groups stay
};

struct Plan {
    std::uint64_t clone_flags{0};
    std::vector<JoinNamespace> joins{};
    bool in_user_namespace{false}; // a new one or one that is joined
    std::vector<oci::IdMapping> uid_mappings{};
    std::vector<oci::IdMapping> gid_mappings{};
    std::vector<Step> steps{};
    ProcessPlan process{};
    oci::Hooks hooks{};
    std::vector<oci::TimeOffset> time_offsets{};
    std::vector<oci::NetDevice> net_devices{};
    std::optional<oci::IntelRdt> intel_rdt{};
    std::string mount_label{};
    oci::Resources resources{};
    std::vector<oci::DeviceRule> device_rules{}; // those of `resources`, or else what the configuration implies
};

/// Something of the host's that a container is offered, read-only, beside what its configuration asks for. A rootfs
/// that can't take it, such as one on a read-only file system without the mount point, goes without.
struct Offer {
    std::string host_path{};
    std::string destination{};
    bool follows{false}; // what the host mounts below it later appears in the container too
};

/// What a plan depends on besides the spec.
struct HostFacts {
    std::string bundle{}; // absolute; relative paths of the spec are below it
    bool no_pivot{false}; // the host runs from its initramfs
    std::vector<Offer> offers{};
    bool is_machine{false}; // systemd-machined will be told of it
    std::optional<oci::ConsoleSize>
        console_size{};           // of the terminal in front of the container's; wins over consoleSize
    std::optional<Stack> stack{}; // the rootfs is an image's, and not the spec's root.path
    bool maps_rootfs{false};      // root.path has the owners that the container is to see, not those of its own range
};

/// Pure: no system call, no clock, no environment. `spec.process` must be there.
Result<Plan> make_plan(const oci::Spec& spec, const HostFacts& host);

/// The process part alone, for `exec`.
Result<ProcessPlan> make_process_plan(const oci::Process& process, const std::optional<oci::Seccomp>& seccomp);
/// The same, with what else of the container's configuration each of its processes has.
Result<ProcessPlan> make_process_plan(const oci::Process& process, const oci::Spec& spec);

/// "bind '/srv/www' on '/var/www' (read-only)": the words of the error message, and a line of `ctrctl plan`.
std::string describe(const Step& step);
std::string describe(const Plan& plan);

} // namespace ctrd::plan

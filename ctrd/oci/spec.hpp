// The OCI runtime-spec 1.x configuration (config.md, config-linux.md) as checked values: what of it this runtime does.
// What the spec has and this struct has not is refused by the parser, by name; it never passes silently.
#pragma once

#include "ctrd/oci/resources.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ctrd::oci {

struct User {
    std::uint32_t uid{0};
    std::uint32_t gid{0};
    std::optional<std::uint32_t> umask{};
    std::vector<std::uint32_t> additional_gids{};
};

/// Bit N is capability N of capabilities(7).
struct Capabilities {
    std::uint64_t bounding{0};
    std::uint64_t effective{0};
    std::uint64_t inheritable{0};
    std::uint64_t permitted{0};
    std::uint64_t ambient{0};
};

struct Rlimit {
    int resource{0}; // RLIMIT_*
    std::string type{};
    std::uint64_t soft{0};
    std::uint64_t hard{0};
};

struct ConsoleSize {
    std::uint16_t rows{0};
    std::uint16_t columns{0};
};

/// process.scheduler, as sched_setattr(2) takes it.
struct Scheduler {
    std::string policy_name{};
    std::uint32_t policy{0}; // SCHED_*
    std::int32_t nice{0};
    std::uint32_t priority{0};
    std::uint64_t flags{0}; // SCHED_FLAG_*
    std::uint64_t runtime{0};
    std::uint64_t deadline{0};
    std::uint64_t period{0};
};

/// process.ioPriority, as ioprio_set(2) takes it: class << 13 | priority.
struct IoPriority {
    int value{0};
};

/// process.execCPUAffinity: lists of processors ("0-3,7"); of `exec` alone, a first process has its cgroup's.
struct ExecCpuAffinity {
    std::vector<unsigned> initial{};
    std::vector<unsigned> final{};
};

struct Process {
    bool terminal{false};
    std::optional<ConsoleSize> console_size{};
    User user{};
    std::vector<std::string> args{};
    std::vector<std::string> env{};
    std::string cwd{};
    std::optional<Capabilities> capabilities{};      // absent: none at all
    std::vector<std::string> unknown_capabilities{}; // names in any of its sets that mean none: sorted, each once
    std::vector<Rlimit> rlimits{};
    bool no_new_privileges{false};
    std::optional<int> oom_score_adj{};
    std::string apparmor_profile{};
    std::string selinux_label{};
    std::optional<Scheduler> scheduler{};
    std::optional<IoPriority> io_priority{};
    ExecCpuAffinity exec_cpu_affinity{};
};

struct IdMapping {
    std::uint32_t container_id{0};
    std::uint32_t host_id{0};
    std::uint32_t size{0};
    bool operator==(const IdMapping&) const = default;
};

struct Mount {
    std::string destination{};
    std::string type{};
    std::string source{};
    std::vector<std::string> options{};
    std::vector<IdMapping> uid_mappings{};
    std::vector<IdMapping> gid_mappings{};
};

struct Hook {
    std::string path{};
    std::vector<std::string> args{};
    std::vector<std::string> env{};
    std::optional<std::uint32_t> timeout_seconds{};
};

struct Hooks {
    std::vector<Hook> create_runtime{}; // those of the older "prestart" first
    std::vector<Hook> create_container{};
    std::vector<Hook> start_container{};
    std::vector<Hook> poststart{};
    std::vector<Hook> poststop{};
};

/// linux.timeOffsets: of one clock of a new time namespace.
struct TimeOffset {
    std::string clock{}; // "monotonic" or "boottime"
    std::int64_t seconds{0};
    std::uint32_t nanoseconds{0};
};

/// linux.memoryPolicy, as set_mempolicy(2) takes it.
struct MemoryPolicy {
    int mode{0}; // MPOL_* and MPOL_F_*
    std::vector<unsigned> nodes{};
};

/// linux.netDevices: one of the host's devices that moves into the container.
struct NetDevice {
    std::string host_name{};
    std::string name{}; // in the container
};

struct IntelRdt {
    std::string clos_id{};
    std::vector<std::string> schemata{}; // one line each; l3CacheSchema's and memBwSchema's before schemata's
    bool monitoring{false};
};

struct Namespace {
    std::uint64_t clone_flag{0}; // CLONE_NEW*
    std::string type{};
    std::string path{}; // join this one; empty: a new one
};

struct Device {
    char type{'c'}; // c, b, p
    std::string path{};
    std::uint32_t major{0};
    std::uint32_t minor{0};
    std::uint32_t mode{0666};
    std::uint32_t uid{0};
    std::uint32_t gid{0};
};

struct SeccompArg {
    std::uint32_t index{0};
    std::uint64_t value{0};
    std::uint64_t value_two{0};
    std::string op{};
};

struct SeccompRule {
    std::vector<std::string> names{};
    std::string action{};
    std::optional<std::uint32_t> errno_ret{};
    std::vector<SeccompArg> args{};
};

struct Seccomp {
    std::string default_action{};
    std::optional<std::uint32_t> default_errno_ret{};
    std::vector<std::string> architectures{};
    std::vector<std::string> flags{};
    std::vector<SeccompRule> rules{};
    std::string listener_path{};     // unix socket that gets the descriptor of SCMP_ACT_NOTIFY
    std::string listener_metadata{}; // passed on to whoever listens there
};

/// Whether any of its rules asks somebody outside: then the kernel hands out a descriptor for the answers.
bool notifies(const Seccomp& seccomp);

struct Spec {
    std::string version{};
    std::string root_path{};
    bool root_readonly{false};
    std::optional<Process> process{}; // `create` needs one; a config without is still a valid one
    std::string hostname{};
    std::string domainname{};
    std::vector<Mount> mounts{};
    std::map<std::string, std::string> annotations{};
    std::vector<Namespace> namespaces{};
    std::vector<IdMapping> uid_mappings{};
    std::vector<IdMapping> gid_mappings{};
    std::vector<Device> devices{};
    std::string cgroups_path{};
    std::string rootfs_propagation{};
    std::vector<std::string> masked_paths{};
    std::vector<std::string> readonly_paths{};
    std::map<std::string, std::string> sysctl{};
    std::string mount_label{};
    std::optional<unsigned long> personality{}; // PER_*
    std::optional<MemoryPolicy> memory_policy{};
    std::vector<TimeOffset> time_offsets{};
    std::vector<NetDevice> net_devices{};
    std::optional<IntelRdt> intel_rdt{};
    Hooks hooks{};
    Resources resources{};
    std::optional<Seccomp> seccomp{};
};

} // namespace ctrd::oci

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

struct Process {
    bool terminal{false};
    std::optional<ConsoleSize> console_size{};
    User user{};
    std::vector<std::string> args{};
    std::vector<std::string> env{};
    std::string cwd{};
    std::optional<Capabilities> capabilities{}; // absent: none at all
    std::vector<Rlimit> rlimits{};
    bool no_new_privileges{false};
    std::optional<int> oom_score_adj{};
    std::string apparmor_profile{};
};

struct Mount {
    std::string destination{};
    std::string type{};
    std::string source{};
    std::vector<std::string> options{};
};

struct IdMapping {
    std::uint32_t container_id{0};
    std::uint32_t host_id{0};
    std::uint32_t size{0};
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
};

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
    Resources resources{};
    std::optional<Seccomp> seccomp{};
};

} // namespace ctrd::oci

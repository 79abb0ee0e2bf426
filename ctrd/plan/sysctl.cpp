#include "ctrd/plan/sysctl.hpp"

#include <linux/sched.h>

#include <algorithm>
#include <array>

namespace ctrd::plan {
namespace {

constexpr std::array<std::string_view, 9> ipc_sysctls{"kernel/msgmax", "kernel/msgmnb",      "kernel/msgmni",
                                                      "kernel/sem",    "kernel/shmall",      "kernel/shmmax",
                                                      "kernel/shmmni", "kernel/auto_msgmni", "kernel/shm_rmid_forced"};

bool has_own(const oci::Spec& spec, std::uint64_t flag) {
    return std::ranges::any_of(spec.namespaces, [&](const auto& ns) { return ns.clone_flag == flag; });
}

/// "net.ipv4.ip_forward" and "net/ipv4/ip_forward" name the same file; with slashes, dots are part of a name (an
/// interface "eth0.5").
std::string to_path(const std::string& key) {
    std::string path = key;
    if (key.find('/') == std::string::npos)
        std::ranges::replace(path, '.', '/');
    return path;
}

bool is_clean(std::string_view path) {
    const auto allowed = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '.' ||
               c == '_' || c == '-' || c == ':' || c == '@';
    };
    return std::ranges::all_of(path, allowed) && path.find("..") == std::string_view::npos &&
           path.find("//") == std::string_view::npos && !path.ends_with('/');
}

/// The namespace that makes this sysctl the container's own; 0: none does.
std::uint64_t owner(std::string_view path) {
    if (path.starts_with("net/"))
        return CLONE_NEWNET;
    if (path.starts_with("fs/mqueue/") || std::ranges::find(ipc_sysctls, path) != ipc_sysctls.end())
        return CLONE_NEWIPC;
    if (path == "kernel/domainname" || path == "kernel/hostname")
        return CLONE_NEWUTS;
    return 0;
}

/// A name that is said twice would be whichever is written last.
Result<void> check_names(const oci::Spec& spec, std::string_view path, const std::string& value) {
    if (path == "kernel/hostname")
        return fail(bad_input("linux.sysctl: 'kernel.hostname' is what the property hostname is for"));
    if (path == "kernel/domainname" && !spec.domainname.empty() && spec.domainname != value)
        return fail(bad_input("linux.sysctl: 'kernel.domainname' and the property domainname differ"));
    return {};
}

} // namespace

Result<std::vector<WriteSysctl>> plan_sysctls(const oci::Spec& spec) {
    std::vector<WriteSysctl> result;
    for (const auto& [key, value] : spec.sysctl) {
        std::string path = to_path(key);
        if (!is_clean(path) || value.find('\n') != std::string::npos)
            return fail(bad_input("linux.sysctl: '" + key + "' is not a sysctl, or its value has more than one line"));
        TRY_VOID(check_names(spec, path, value));
        const std::uint64_t needs = owner(path);
        if (needs == 0)
            return fail(bad_input("linux.sysctl: '" + key + "' belongs to the whole host",
                                  "a container may set net.*, fs.mqueue.* and the System V IPC ones of kernel.*"));
        if (!has_own(spec, needs))
            return fail(
                bad_input("linux.sysctl: '" + key + "' would be set on the host: the container shares its namespace"));
        result.push_back({std::move(path), value});
    }
    return result;
}

} // namespace ctrd::plan

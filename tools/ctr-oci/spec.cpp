// spec: a configuration that runs a shell in ./rootfs, to be edited.
#include "tools/ctr-oci/commands.hpp"

#include "ctrd/base/file.hpp"

#include <nlohmann/json.hpp>

#include <fcntl.h>

namespace ctrd::ctr_oci {
namespace {

using Json = nlohmann::ordered_json;

Json mount(const char* destination, const char* type, const char* source, std::vector<std::string> options) {
    return {{"destination", destination}, {"type", type}, {"source", source}, {"options", std::move(options)}};
}

Json process() {
    const std::vector<std::string> caps{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"};
    return {{"terminal", true},
            {"user", {{"uid", 0}, {"gid", 0}}},
            {"args", {"sh"}},
            {"env", {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"}},
            {"cwd", "/"},
            {"capabilities", {{"bounding", caps}, {"effective", caps}, {"permitted", caps}}},
            {"rlimits", {{{"type", "RLIMIT_NOFILE"}, {"hard", 1024}, {"soft", 1024}}}},
            {"noNewPrivileges", true}};
}

Json linux_part() {
    Json namespaces = Json::array();
    for (const char* type : {"pid", "network", "ipc", "uts", "mount", "cgroup"})
        namespaces.push_back({{"type", type}});
    return {
        {"resources", {{"devices", {{{"allow", false}, {"access", "rwm"}}}}}},
        {"namespaces", namespaces},
        {"maskedPaths",
         {"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
          "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"}},
        {"readonlyPaths", {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}}};
}

Json mounts() {
    return {mount("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}),
            mount("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}),
            mount("/dev/pts", "devpts", "devpts",
                  {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}),
            mount("/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}),
            mount("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}),
            mount("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"})};
}

/// What an unprivileged user may do: a user namespace with one id, its own; the host's /sys and network, since a new
/// sysfs needs a network namespace and who has one of those has no network.
void make_rootless(Json& json) {
    Json& linux_object = json["linux"];
    linux_object.erase("resources");
    Json namespaces = Json::array();
    for (const char* type : {"pid", "ipc", "uts", "mount", "cgroup", "user"})
        namespaces.push_back({{"type", type}});
    linux_object["namespaces"] = namespaces;
    linux_object["uidMappings"] = {{{"containerID", 0}, {"hostID", ::geteuid()}, {"size", 1}}};
    linux_object["gidMappings"] = {{{"containerID", 0}, {"hostID", ::getegid()}, {"size", 1}}};
    Json kept = Json::array();
    for (Json& each : json["mounts"]) {
        if (each["destination"] == "/sys")
            each = mount("/sys", "none", "/sys", {"rbind", "nosuid", "noexec", "nodev", "ro"});
        else if (each["destination"] == "/dev/pts")
            each = mount("/dev/pts", "devpts", "devpts",
                         {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"});
        if (each["destination"] != "/sys/fs/cgroup")
            kept.push_back(each);
    }
    json["mounts"] = kept;
}

} // namespace

Result<int> write_spec(const Options& options) {
    Json json{{"ociVersion", "1.3.0"}, {"process", process()}, {"root", {{"path", "rootfs"}, {"readonly", true}}},
              {"hostname", "ctr-oci"}, {"mounts", mounts()},   {"linux", linux_part()}};
    if (options.rootless_spec)
        make_rootless(json);
    const std::string path = options.bundle + "/config.json";
    const UniqueFd fd = TRY(open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0644));
    TRY_VOID(write_all(fd.get(), json.dump(2) + "\n").context("'" + path + "'"));
    return 0;
}

} // namespace ctrd::ctr_oci

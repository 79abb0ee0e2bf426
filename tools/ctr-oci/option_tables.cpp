#include "tools/ctr-oci/option_tables.hpp"

#include <array>
#include <charconv>

namespace ctrd::ctr_oci {
namespace {

using Set = Result<void>;

template <auto Member> Set text(Options& o, const std::string& v) {
    o.*Member = v;
    return {};
}

template <auto Member> Set flag(Options& o, const std::string& v) {
    o.*Member = v == "true";
    return {};
}

template <auto Member> Set add(Options& o, const std::string& v) {
    (o.*Member).push_back(v);
    return {};
}

template <auto Member> Set criu_text(Options& o, const std::string& v) {
    o.criu.*Member = v;
    return {};
}

template <auto Member> Set criu_flag(Options& o, const std::string& v) {
    o.criu.*Member = v == "true";
    return {};
}

Set cgroups_mode(Options& o, const std::string& v) {
    if (v != "soft" && v != "full" && v != "strict" && v != "ignore")
        return fail(bad_input("--manage-cgroups-mode is soft, full, strict or ignore, not '" + v + "'"));
    o.criu.cgroups_mode = v;
    return {};
}

Set empty_ns(Options& o, const std::string& v) {
    if (v != "network")
        return fail(bad_input("--empty-ns is network, not '" + v + "'", "CRIU can leave no other namespace empty"));
    o.criu.empty_network = true;
    return {};
}

Set log_file(Options& o, const std::string& v) {
    if (v.starts_with("journald:") || v.starts_with("syslog:"))
        return fail(bad_input("--log takes a file, not '" + v + "'", "stderr of a unit is in the journal already"));
    o.log = v.starts_with("file:") ? v.substr(5) : v;
    return {};
}

Set log_format(Options& o, const std::string& v) {
    if (v != "text" && v != "json")
        return fail(bad_input("--log-format is text or json, not '" + v + "'"));
    o.log_json = v == "json";
    return {};
}

Set log_level(Options& o, const std::string& v) {
    if (v != "error" && v != "warning" && v != "debug")
        return fail(bad_input("--log-level is error, warning or debug, not '" + v + "'"));
    o.log_level = v == "error" ? LogLevel::error : v == "warning" ? LogLevel::warning : LogLevel::debug;
    o.debug = o.debug || v == "debug";
    return {};
}

Set cgroup_manager(Options& o, const std::string& v) {
    if (v != "cgroupfs" && v != "systemd")
        return fail(bad_input("--cgroup-manager is cgroupfs or systemd, not '" + v + "'",
                              "a container without a cgroup could be neither limited nor found again"));
    o.systemd_cgroup = v == "systemd";
    return {};
}

Set rootless(Options& o, const std::string& v) {
    if (v != "auto" && v != "true" && v != "false")
        return fail(bad_input("--rootless is auto, true or false, not '" + v + "'"));
    o.rootless = v == "auto" ? Rootless::automatic : v == "true" ? Rootless::yes : Rootless::no;
    return {};
}

Set format(Options& o, const std::string& v) {
    if (v != "table" && v != "json")
        return fail(bad_input("--format is table or json, not '" + v + "'"));
    o.json = v == "json";
    return {};
}

Set preserve_fds(Options& o, const std::string& v) {
    const auto [end, err] = std::from_chars(v.data(), v.data() + v.size(), o.preserve_fds);
    if (err != std::errc{} || end != v.data() + v.size() || o.preserve_fds > 1024)
        return fail(bad_input("--preserve-fds takes a number up to 1024, not '" + v + "'"));
    return {};
}

/// A duration as Go writes it ("5s", "1m30s", "200ms"), which is what containerd passes.
Set interval(Options& o, const std::string& v) {
    std::chrono::duration<double, std::milli> total{0};
    const char *at = v.data(), *const end = at + v.size();
    while (at < end) {
        double number = 0;
        const auto parsed = std::from_chars(at, end, number);
        const std::string_view rest{parsed.ptr, end};
        const auto unit = rest.substr(0, rest.find_first_of("0123456789."));
        const double factor = unit == "ms" ? 1 : unit == "s" ? 1e3 : unit == "m" ? 60e3 : unit == "h" ? 3600e3 : 0;
        if (parsed.ec != std::errc{} || factor == 0)
            return fail(bad_input("--interval takes a duration such as 5s or 200ms, not '" + v + "'"));
        total += std::chrono::duration<double, std::milli>{number * factor};
        at = unit.end();
    }
    if (total < std::chrono::milliseconds{1} || total > std::chrono::hours{24 * 365})
        return fail(bad_input("--interval must be between a millisecond and a year, not '" + v + "'"));
    o.interval = std::chrono::duration_cast<std::chrono::milliseconds>(total);
    return {};
}

/// Nothing of ours reaps in the place of a service manager: there is no subreaper that could be left out.
Set no_subreaper(Options&, const std::string&) { return {}; }

/// Kept as it is: all of them together make one change.
template <auto& Name> Set limit(Options& o, const std::string& v) {
    o.limits.emplace_back(Name, v);
    return {};
}

constexpr std::array global{
    Option{"root", "", "DIR", "where the containers' records are kept", text<&Options::root>},
    Option{"log", "", "FILE", "append errors and warnings to FILE too", log_file},
    Option{"log-format", "", "FORMAT", "text (default) or json, for --log", log_format},
    Option{"log-level", "", "LEVEL", "error, warning (default) or debug", log_level},
    Option{"debug", "", "", "print the plan of a start before it is applied", flag<&Options::debug>},
    Option{"systemd-cgroup", "", "", "let systemd make the cgroup, as a scope; cgroupsPath is slice:prefix:name",
           flag<&Options::systemd_cgroup>},
    Option{"cgroup-manager", "", "NAME", "cgroupfs (default), or systemd: --systemd-cgroup", cgroup_manager},
    Option{"rootless", "", "WHEN",
           "go on where a cgroup can't be made: auto (default: unless we are root), true, false", rootless},
};

constexpr Option bundle{"bundle", "b", "DIR", "the bundle's folder (default: the current one)", text<&Options::bundle>};
constexpr Option console_socket{"console-socket", "", "SOCKET", "unix socket that gets the terminal's master",
                                text<&Options::console_socket>};
constexpr Option pidfd_socket{"pidfd-socket", "", "SOCKET", "unix socket that gets a pidfd of the process",
                              text<&Options::pidfd_socket>};
constexpr Option pid_file{"pid-file", "", "FILE", "write the process' pid there", text<&Options::pid_file>};
constexpr Option pass_fds{"preserve-fds", "", "N", "pass N more descriptors on, from 3 (after those of $LISTEN_FDS)",
                          preserve_fds};
constexpr Option detach{"detach", "d", "", "return as soon as the program runs", flag<&Options::detach>};
constexpr Option list_format{"format", "f", "FORMAT", "table (default) or json", format};
constexpr Option regex{"regex", "r", "", "ID is a regular expression: every container that it matches",
                       flag<&Options::regex>};

constexpr std::array create{
    bundle,
    Option{"config", "f", "FILE", "the configuration, instead of the bundle's config.json", text<&Options::config>},
    console_socket,
    pidfd_socket,
    pid_file,
    pass_fds,
    Option{"no-new-keyring", "", "", "keep the caller's session keyring", flag<&Options::no_new_keyring>},
    Option{"no-pivot", "", "", "chroot instead of pivot_root, for a host that runs from its initramfs",
           flag<&Options::no_pivot>},
    Option{"no-subreaper", "", "", "changes nothing: ctr-oci never makes itself a subreaper", no_subreaper},
};
constexpr std::array run{
    create[0],
    create[1],
    create[2],
    create[3],
    create[4],
    create[5],
    create[6],
    create[7],
    create[8],
    detach,
    Option{"keep", "", "", "don't delete the container when its payload ends", flag<&Options::keep>},
};
constexpr std::array exec{
    Option{"process", "p", "FILE", "the process as JSON, instead of a command", text<&Options::process_file>},
    Option{"tty", "t", "", "give it a terminal", flag<&Options::tty>},
    Option{"cwd", "", "DIR", "its working directory", text<&Options::cwd>},
    Option{"env", "e", "NAME=VALUE", "one more environment variable", add<&Options::env>},
    Option{"user", "u", "UID[:GID]", "its user and group, as numbers", text<&Options::user>},
    Option{"additional-gids", "g", "GID", "one more supplementary group", add<&Options::additional_gids>},
    Option{"cap", "c", "CAP", "one more capability", add<&Options::capabilities>},
    Option{"no-new-privs", "", "", "it can't gain privileges by an exec",
           [](Options& o, const std::string& v) -> Set {
               o.no_new_privileges = v == "true";
               return {};
           }},
    Option{"apparmor", "", "PROFILE", "its AppArmor profile", text<&Options::apparmor>},
    Option{"process-label", "", "LABEL", "its SELinux label", text<&Options::process_label>},
    Option{"cgroup", "", "PATH", "a cgroup below the container's own, which must exist", add<&Options::cgroups>},
    Option{"ignore-paused", "", "", "wait in a paused container until it is resumed", flag<&Options::ignore_paused>},
    detach,
    pid_file,
    console_socket,
    pidfd_socket,
    pass_fds,
};
constexpr std::array kill{
    Option{"all", "a", "", "every process of the container; it is no error if none is left", flag<&Options::all>},
    regex,
};
constexpr std::array remove{
    Option{"force", "f", "", "kill it first if it runs", flag<&Options::force>},
    regex,
};
constexpr std::array list{
    list_format,
    Option{"quiet", "q", "", "ids only", flag<&Options::quiet>},
};
constexpr std::array ps{list_format};
constexpr Option image_path{"image-path", "", "DIR", "where the images are (default: checkpoint)",
                            criu_text<&CriuOptions::image_path>};
constexpr Option work_path{"work-path", "", "DIR", "where CRIU's log goes (default: --image-path)",
                           criu_text<&CriuOptions::work_path>};
constexpr Option tcp_established{"tcp-established", "", "", "with open TCP connections",
                                 criu_flag<&CriuOptions::tcp_established>};
constexpr Option ext_unix_sk{"ext-unix-sk", "", "", "with unix sockets whose other end is outside",
                             criu_flag<&CriuOptions::ext_unix_sk>};
constexpr Option shell_job{"shell-job", "", "", "with a terminal that is the caller's",
                           criu_flag<&CriuOptions::shell_job>};
constexpr Option file_locks{"file-locks", "", "", "with locks of files", criu_flag<&CriuOptions::file_locks>};
constexpr Option manage_cgroups{"manage-cgroups-mode", "", "MODE",
                                "of cgroups in the container: soft (default), full, strict, ignore", cgroups_mode};
constexpr Option empty_namespace{"empty-ns", "", "NAMESPACE", "leave it empty; network", empty_ns};
constexpr Option auto_dedup{"auto-dedup", "", "", "free what is in the parent images and not needed",
                            criu_flag<&CriuOptions::auto_dedup>};
constexpr Option lazy_pages{"lazy-pages", "", "", "refused: no page server", criu_flag<&CriuOptions::lazy_pages>};
constexpr std::array checkpoint{
    image_path,
    work_path,
    Option{"parent-path", "", "DIR", "images of an earlier pre-dump, relative to --image-path",
           criu_text<&CriuOptions::parent_path>},
    Option{"leave-running", "", "", "let the container go on", criu_flag<&CriuOptions::leave_running>},
    Option{"pre-dump", "", "", "memory alone, and let the container go on", criu_flag<&CriuOptions::pre_dump>},
    tcp_established,
    Option{"tcp-skip-in-flight", "", "", "without TCP connections that are not through yet",
           criu_flag<&CriuOptions::tcp_skip_in_flight>},
    Option{"link-remap", "", "", "with open files whose name is gone while others are left",
           criu_flag<&CriuOptions::link_remap>},
    ext_unix_sk,
    shell_job,
    file_locks,
    manage_cgroups,
    empty_namespace,
    auto_dedup,
    lazy_pages,
    Option{"page-server", "", "ADDRESS:PORT", "refused: no page server", criu_text<&CriuOptions::page_server>},
    Option{"status-fd", "", "FD", "refused: it is about --lazy-pages", criu_text<&CriuOptions::status_fd>},
};
constexpr std::array restore{
    image_path,
    work_path,
    bundle,
    detach,
    pid_file,
    console_socket,
    tcp_established,
    ext_unix_sk,
    shell_job,
    file_locks,
    manage_cgroups,
    empty_namespace,
    auto_dedup,
    lazy_pages,
    Option{"lsm-profile", "", "TYPE:NAME", "another AppArmor profile or SELinux label (apparmor:..., selinux:...)",
           criu_text<&CriuOptions::lsm_profile>},
    Option{"lsm-mount-context", "", "CONTEXT", "another SELinux context of mounts",
           criu_text<&CriuOptions::lsm_mount_context>},
    Option{"no-subreaper", "", "", "changes nothing: ctr-oci never makes itself a subreaper", no_subreaper},
    Option{"no-pivot", "", "", "changes nothing: CRIU enters the rootfs in its own way", no_subreaper},
};
constexpr std::array events{
    Option{"interval", "", "TIME", "between two statistics (default: 5s)", interval},
    Option{"stats", "", "", "print the statistics once", flag<&Options::stats>},
};
constexpr std::array spec{
    Option{"bundle", "b", "DIR", "where config.json goes (default: the current folder)", text<&Options::bundle>},
    Option{"rootless", "", "", "for a container of an unprivileged user", flag<&Options::rootless_spec>},
};

// Names that a template can take: string literals have no address that is theirs alone.
#define CTRD_LIMIT(identifier, name, value, help)                                                                      \
    constexpr char identifier##_name[] = name;                                                                         \
    constexpr Option identifier { identifier##_name, "", value, help, limit<identifier##_name> }
CTRD_LIMIT(blkio_weight, "blkio-weight", "N", "share of the block devices' time, 10 to 1000");
CTRD_LIMIT(cpu_period, "cpu-period", "MICROSECONDS", "the time that --cpu-quota is about");
CTRD_LIMIT(cpu_quota, "cpu-quota", "MICROSECONDS", "processor time in each period; -1: unlimited");
CTRD_LIMIT(cpu_burst, "cpu-burst", "MICROSECONDS", "unused quota that may be saved up");
CTRD_LIMIT(cpu_share, "cpu-share", "N", "share of the processors' time, 2 to 262144 around 1024");
CTRD_LIMIT(cpu_idle, "cpu-idle", "0|1", "1: only time that nobody else wants");
CTRD_LIMIT(cpu_rt_period, "cpu-rt-period", "MICROSECONDS", "refused: cgroup v2 has no realtime quota");
CTRD_LIMIT(cpu_rt_runtime, "cpu-rt-runtime", "MICROSECONDS", "refused: cgroup v2 has no realtime quota");
CTRD_LIMIT(cpuset_cpus, "cpuset-cpus", "LIST", "processors that may be used, such as 0-2,5");
CTRD_LIMIT(cpuset_mems, "cpuset-mems", "LIST", "memory nodes that may be used");
CTRD_LIMIT(memory, "memory", "SIZE", "memory limit; 512M, 2g, or -1: unlimited");
CTRD_LIMIT(memory_reservation, "memory-reservation", "SIZE", "memory that is taken away last");
CTRD_LIMIT(memory_swap, "memory-swap", "SIZE", "limit of memory and swap together; -1: unlimited");
CTRD_LIMIT(kernel_memory, "kernel-memory", "SIZE", "ignored with a warning: the kernel has no such limit any more");
CTRD_LIMIT(kernel_memory_tcp, "kernel-memory-tcp", "SIZE", "ignored with a warning, as kernel-memory");
CTRD_LIMIT(pids_limit, "pids-limit", "N", "number of processes and threads; -1: unlimited");
CTRD_LIMIT(l3_cache_schema, "l3-cache-schema", "TEXT", "Intel RDT: the L3 line of the schemata");
CTRD_LIMIT(mem_bw_schema, "mem-bw-schema", "TEXT", "Intel RDT: the MB line of the schemata");
#undef CTRD_LIMIT
constexpr std::array update{
    Option{"resources", "r", "FILE", "all from a linux.resources object; -: from stdin",
           text<&Options::resources_file>},
    blkio_weight,
    cpu_period,
    cpu_quota,
    cpu_burst,
    cpu_share,
    cpu_idle,
    cpu_rt_period,
    cpu_rt_runtime,
    cpuset_cpus,
    cpuset_mems,
    memory,
    memory_reservation,
    memory_swap,
    kernel_memory,
    kernel_memory_tcp,
    pids_limit,
    l3_cache_schema,
    mem_bw_schema,
};

constexpr std::size_t any = 100000;
constexpr std::array all_commands{
    Command{"run", "ID", "create and start a container, wait for its end", run, 1, 1},
    Command{"create", "ID", "set a container up and stop before its payload", create, 1, 1},
    Command{"start", "ID", "run the payload of a created container", {}, 1, 1},
    Command{"exec", "ID [COMMAND [ARGUMENT]...]", "run one more process in a container", exec, 1, any, true},
    Command{"state", "ID", "print a container's state as JSON", {}, 1, 1},
    Command{"kill", "ID [SIGNAL]", "send a signal (default SIGTERM)", kill, 1, 2},
    Command{"delete", "ID...", "remove what is left of a stopped container", remove, 1, any},
    Command{"list", "", "list containers", list, 0, 0},
    Command{"ps", "ID [PS-OPTION]...", "list a container's processes", ps, 1, any, true},
    Command{"events", "ID", "print statistics and out-of-memory events as they come", events, 1, 1},
    Command{"pause", "ID", "stop all processes where they are", {}, 1, 1},
    Command{"resume", "ID", "let them go on", {}, 1, 1},
    Command{"update", "ID", "change a container's limits", update, 1, 1},
    Command{"checkpoint", "ID", "save a running container's processes into files", checkpoint, 1, 1},
    Command{"restore", "ID", "bring a saved container back and wait for its end", restore, 1, 1},
    Command{"features", "", "print what this runtime can do as JSON", {}, 0, 0},
    Command{"spec", "", "write a config.json to start from", spec, 0, 0},
};

} // namespace

std::span<const Option> global_options() { return global; }
std::span<const Command> commands() { return all_commands; }

} // namespace ctrd::ctr_oci

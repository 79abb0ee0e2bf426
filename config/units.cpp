#include "config/units.hpp"

#include "config/checks.hpp"
#include "config/resources.hpp"
#include "config/syntax.hpp"
#include "config/triggers.hpp"
#include "config/units_parts.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ctrd::config {
namespace {

constexpr std::string_view generator_program = "/usr/lib/systemd/system-generators/ctrd-generator";
/// READY=1 can come at the last moment of ready-timeout; ctr-run's own message should win over systemd's.
constexpr std::uint64_t ready_margin_us = 5'000'000;

/// SIGKILL is how a payload that would not hear its stop signal is stopped, so the template calls it a success.
/// The policies that restart after a kill must be told that this one counts, the one that must not, too.
std::string restart_lines(const std::string& policy) {
    if (policy == "no")
        return "";
    std::string text = fmt::format("Restart={}\n", policy);
    if (policy == "on-failure" || policy == "on-abnormal" || policy == "on-abort")
        text += "RestartForceExitStatus=SIGKILL\n";
    else if (policy == "on-success")
        text += "RestartPreventExitStatus=SIGKILL\n";
    return text;
}

/// How PID 1 says that machined asked for it: ctr-init by its exit status, a systemd by how the kernel ends it.
std::string machine_lines(const UnitSpec& spec) {
    if (accepts(spec))
        return spec.init ? "SuccessExitStatus=194 195\n" : "";
    if (spec.init)
        return "RestartForceExitStatus=195\nRestartPreventExitStatus=194\nSuccessExitStatus=194 195\n";
    if (runs_systemd(spec))
        return "RestartForceExitStatus=SIGHUP\nRestartPreventExitStatus=SIGINT\n";
    return "";
}

/// ctr-init is told to end, and tells the payload in its own language.
std::string kill_signal(const UnitSpec& spec) { return spec.init ? "SIGTERM" : spec.stop_signal; }

std::string resource_lines(const ResourceSpec& resources) {
    std::string text;
    for (const auto& key : resource_table())
        if (const auto& value = resources.*key.value) // a '%' here is a percentage: these settings know no specifiers
            text += fmt::format("{}={}\n", key.property, *value);
    // The kernel and oomd take the container as a whole. ctr-run sees it, too, and gives the payload's cgroup what oomd
    // needs there.
    if (asks_oomd(resources))
        text += "OOMPolicy=kill\n";
    return text;
}

std::string socket_text(const UnitSpec& spec) {
    return unit_head(spec) + fmt::format("Description={} (socket)\n\n[Socket]\n", unit_description(spec)) +
           slice_line(spec) + listen_lines(spec);
}

std::string service_text(const UnitSpec& spec, const ResourceSpec& resources, const UnitOptions& options) {
    std::string text = unit_head(spec) + fmt::format("Description={}\n{}", unit_description(spec), mounts_needed(spec));
    if (!spec.sockets.empty())
        text += fmt::format("Requires=ctr@{0}.socket\nAfter=ctr@{0}.socket\nStartLimitBurst=500\n", spec.name);
    text += "\n[Service]\n";
    return text + slice_line(spec) + common_lines(spec, resources, options);
}

} // namespace

std::string slice_line(const UnitSpec& spec) {
    return spec.slice ? fmt::format("Slice={}\n", *spec.slice) : std::string{};
}

std::string unit_head(const UnitSpec& spec) {
    std::string text = "# Made by ctrd-generator; changes are lost.\n\n[Unit]\n";
    if (const auto source = origin_of(spec, "").file; !source.empty())
        text += fmt::format("SourcePath={}\n", unit_text(source));
    return text;
}

std::string unit_description(const UnitSpec& spec) {
    return unit_text(spec.description.value_or("Container " + spec.name));
}

std::string listen_lines(const UnitSpec& spec) {
    std::string text;
    bool any_bare_or_six = false;
    bool any_specific = false;
    bool any_path = false;
    std::optional<std::uint32_t> backlog;
    for (const auto& socket : spec.sockets) {
        const auto address = parse_listen(socket.listen);
        if (!address)
            continue; // checked before
        text += fmt::format("{}={}\n", socket.datagram ? "ListenDatagram" : "ListenStream", unit_text(address->text));
        using Kind = ListenAddress::Kind;
        any_bare_or_six = any_bare_or_six || address->kind == Kind::port || address->kind == Kind::ipv6;
        any_specific = any_specific || (address->kind != Kind::path && !address->wildcard() && !address->loopback());
        any_path = any_path || address->kind == Kind::path;
        backlog = socket.backlog ? socket.backlog : backlog;
    }
    // systemd has one name for all of a unit's sockets; ctr-run tells several apart by their addresses.
    if (spec.sockets.size() == 1 && !accepts(spec))
        text += fmt::format("FileDescriptorName={}\n", spec.sockets.front().name);
    if (any_bare_or_six)
        text += fmt::format("BindIPv6Only={}\n", needs_ipv6_only(spec) ? "ipv6-only" : "both");
    if (any_specific)
        text += "FreeBind=yes\n"; // sockets come before the network at boot
    if (any_path)
        text += "RemoveOnStop=yes\n";
    const auto with_path =
        std::ranges::find_if(spec.sockets, [](const SocketSpec& one) { return one.listen.starts_with('/'); });
    if (with_path != spec.sockets.end()) // those with a path share what is said of their files
        for (const auto& [setting, value] : {std::pair{"SocketMode", &with_path->mode},
                                             {"SocketUser", &with_path->user},
                                             {"SocketGroup", &with_path->group}})
            if (*value)
                text += fmt::format("{}={}\n", setting, **value);
    if (backlog)
        text += fmt::format("Backlog={}\n", *backlog);
    return text;
}

std::string mounts_needed(const UnitSpec& spec) {
    if (spec.survives_soft_reboot)
        return "";
    std::string words = unit_word(spec.image ? image::default_store : clean_path(source_of(spec)));
    for (const auto& mount : spec.mounts)
        if (mount.type == MountType::bind)
            words += " " + unit_word(clean_path(mount.source));
    return "RequiresMountsFor=" + words + "\n";
}

std::string common_lines(const UnitSpec& spec, const ResourceSpec& resources, const UnitOptions& options) {
    std::string text;
    if (options.deferred)
        text += fmt::format("ExecStartPre={} --compile {}\n", generator_program, spec.name);
    // In the journal, and for 'systemctl show'. The payload's environment is its config's: this one is ctr-run's alone.
    const std::string image = unit_word("CTRD_IMAGE=" + (options.image.empty() ? source_of(spec) : options.image));
    text += fmt::format("LogExtraFields={}\n", image);
    if (!options.image.empty())
        text += fmt::format("Environment={}\n", image);
    // For ctr-run, before Linux 6.12; the payload has a policy of its own. Major 7 is loop's, loaded or not.
    if (options.mounts_files || (options.deferred && spec.image))
        text += "DeviceAllow=/dev/loop-control rw\nDeviceAllow=block-7 r\n";
    text += fmt::format("KillSignal={}\nTimeoutStopSec={}\nTimeoutStartSec={}\n", kill_signal(spec),
                        duration_text(spec.stop_timeout_us), duration_text(spec.ready_timeout_us + ready_margin_us));
    for (const auto& [name, path] : spec.credentials)
        text += fmt::format("LoadCredential={}:{}\n", name, unit_text(clean_path(path)));
    return text + restart_lines(spec.restart) + machine_lines(spec) + resource_lines(resources);
}

std::string unit_text(std::string_view value) {
    std::string text;
    for (const char c : value)
        text += c == '%' ? std::string{"%%"} : std::string{c};
    return text;
}

std::string unit_word(std::string_view value) {
    std::string text = "\"";
    for (const char c : unit_text(value)) {
        if (c == '"' || c == '\\')
            text += '\\';
        text += c;
    }
    return text + "\"";
}

void add_units(const UnitSpec& spec, const ResourceSpec& resources, const UnitOptions& options, Compiled& compiled) {
    if (accepts(spec))
        return add_accepting_units(spec, resources, options, compiled);
    const auto service = fmt::format("ctr@{}.service", spec.name);
    const auto socket = fmt::format("ctr@{}.socket", spec.name);
    compiled.files.push_back({service + ".d/10-ctrd.conf", service_text(spec, resources, options)});
    if (!spec.sockets.empty())
        compiled.files.push_back({socket + ".d/10-ctrd.conf", socket_text(spec)});
    const auto start = start_of(spec);
    if (start != Start::manual && !spec.sockets.empty())
        compiled.links.push_back({"sockets.target.wants/" + socket, fmt::format("{}/ctr@.socket", unit_folder)});
    if (start == Start::boot)
        compiled.links.push_back({"multi-user.target.wants/" + service, fmt::format("{}/ctr@.service", unit_folder)});
    add_trigger_units(spec, compiled);
    add_survival_units(spec, compiled);
}

} // namespace ctrd::config

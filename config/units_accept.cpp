// accept = true: systemd accepts, and starts an instance of ctr-NAME@.service for each connection of ctr-NAME.socket.
// An instance of ctr@.service could not be it: systemd derives the service's name from the socket's, and what stands
// behind the '@' of the instance is the connection's.
//
// With a warm pool the instances share the listening socket and accept themselves, each once. ctr-NAME.service starts
// as many as are to wait: with the socket, and whenever somebody connects and no instance runs. Each that has its
// connection does the same, and so does each that has ended. As long as one runs systemd does not look at the socket.
#include "config/units_parts.hpp"

#include "config/syntax.hpp"
#include "ctrd/base/names.hpp"

#include <fmt/format.h>

namespace ctrd::config {
namespace {

/// What units/ctr@.service says of all others, and why, is there.
constexpr std::string_view service_lines =
    "Type=notify\nNotifyAccess=all\nSlice=machine.slice\nDelegate=yes\nKillMode=mixed\nSuccessExitStatus=SIGKILL\n"
    "OOMPolicy=stop\nIgnoreSIGPIPE=no\nKeyringMode=private\nUMask=0022\nTasksMax=16384\nDevicePolicy=closed\n";

std::string stdio_lines(const UnitSpec& spec) {
    const bool on_stdio = spec.sockets.front().deliver == Deliver::stdio && !spec.warm_pool;
    return on_stdio ? "StandardInput=socket\nStandardOutput=socket\nStandardError=journal\n"
                    : "StandardInput=null\nStandardOutput=journal\nStandardError=inherit\n";
}

std::string fill_command(const UnitSpec& spec) {
    return fmt::format("/usr/lib/ctrd/ctr-pool fill {} {} {}", spec.name, *spec.warm_pool, most_connections(spec));
}

/// Sockets= makes the instances get what the socket unit holds. One that can't be made is tried again, and again: who
/// comes meanwhile is reset by each attempt.
std::string pool_lines(const UnitSpec& spec) {
    return fmt::format("Sockets=ctr-{}.socket\nNonBlocking=yes\nExecStopPost={}\nRestartForceExitStatus={}\n"
                       "RestartSec=2s\n",
                       spec.name, fill_command(spec), not_made_status);
}

std::string service_text(const UnitSpec& spec, const ResourceSpec& resources, const UnitOptions& options) {
    std::string text = unit_head(spec) + fmt::format("Description={}\n{}"
                                                     "CollectMode=inactive-or-failed\n{}\n[Service]\n",
                                                     unit_description(spec), mounts_needed(spec),
                                                     spec.warm_pool ? "StartLimitIntervalSec=0\n" : "");
    text += service_lines;
    text += stdio_lines(spec);
    text += fmt::format("ExecStart=/usr/lib/ctrd/ctr-run {1} {0}\nExecStop=/usr/lib/ctrd/ctr-run stop {0}\n"
                        "ExecStopPost=/usr/lib/ctrd/ctr-run clean-connection {0}\nSyslogIdentifier={0}\n"
                        "LogExtraFields=CTRD_NAME={0}\n",
                        spec.name, spec.warm_pool ? "wait-connection" : "connection");
    if (spec.warm_pool)
        text += pool_lines(spec);
    if (spec.max_lifetime_us != UnitSpec::infinity)
        text += fmt::format("RuntimeMaxSec={}\n", duration_text(spec.max_lifetime_us));
    return text + slice_line(spec) + common_lines(spec, resources, options);
}

std::string pool_text(const UnitSpec& spec) {
    return unit_head(spec) + fmt::format("Description={} (containers that wait for a connection)\n"
                                         "StartLimitIntervalSec=0\n\n[Service]\nType=oneshot\nNonBlocking=yes\n"
                                         "ExecStart={}\nSyslogIdentifier={}\nLogExtraFields=CTRD_NAME={}\n",
                                         unit_description(spec), fill_command(spec), spec.name, spec.name);
}

/// Those that wait hold the listening socket, too.
std::string accepting_lines(const UnitSpec& spec) {
    return spec.warm_pool ? fmt::format("ExecStopPre=/usr/lib/ctrd/ctr-pool drain {}\n", spec.name) : "Accept=yes\n";
}

std::string socket_text(const UnitSpec& spec) {
    const SocketSpec& first = spec.sockets.front(); // they all say the same
    std::string text = unit_head(spec) + fmt::format("Description={} (socket)\n", unit_description(spec));
    if (spec.warm_pool)
        text += fmt::format("Wants=ctr-{}.service\n", spec.name);
    text += "\n[Socket]\n" + accepting_lines(spec) + "Slice=machine.slice\nTriggerLimitIntervalSec=0\n";
    if (spec.warm_pool)
        return text + slice_line(spec) + listen_lines(spec);
    if (first.max_connections)
        text += fmt::format("MaxConnections={}\n", *first.max_connections);
    if (first.max_connections_per_source)
        text += fmt::format("MaxConnectionsPerSource={}\n", *first.max_connections_per_source);
    return text + slice_line(spec) + listen_lines(spec);
}

} // namespace

void add_accepting_units(const UnitSpec& spec, const ResourceSpec& resources, const UnitOptions& options,
                         Compiled& compiled) {
    const auto socket = fmt::format("ctr-{}.socket", spec.name);
    compiled.files.push_back({fmt::format("ctr-{}@.service", spec.name), service_text(spec, resources, options)});
    compiled.files.push_back({socket, socket_text(spec)});
    if (spec.warm_pool)
        compiled.files.push_back({fmt::format("ctr-{}.service", spec.name), pool_text(spec)});
    if (start_of(spec) != Start::manual)
        compiled.links.push_back({"sockets.target.wants/" + socket, "../" + socket});
    add_survival_units(spec, compiled);
}

} // namespace ctrd::config

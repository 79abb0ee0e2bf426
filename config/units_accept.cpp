// accept = true: systemd accepts, and starts an instance of ctr-NAME@.service for each connection of ctr-NAME.socket.
// An instance of ctr@.service could not be it: systemd derives the service's name from the socket's, and what stands
// behind the '@' of the instance is the connection's.
#include "config/units_parts.hpp"

#include "config/syntax.hpp"

#include <fmt/format.h>

namespace ctrd::config {
namespace {

/// What units/ctr@.service says of all others, and why, is there.
constexpr std::string_view service_lines =
    "Type=notify\nNotifyAccess=all\nSlice=machine.slice\nDelegate=yes\nKillMode=mixed\nSuccessExitStatus=SIGKILL\n"
    "OOMPolicy=stop\nIgnoreSIGPIPE=no\nKeyringMode=private\nUMask=0022\nTasksMax=16384\nDevicePolicy=closed\n";

std::string stdio_lines(const UnitSpec& spec) {
    const bool on_stdio = spec.sockets.front().deliver == Deliver::stdio;
    return on_stdio ? "StandardInput=socket\nStandardOutput=socket\nStandardError=journal\n"
                    : "StandardInput=null\nStandardOutput=journal\nStandardError=inherit\n";
}

std::string service_text(const UnitSpec& spec, const ResourceSpec& resources, const UnitOptions& options) {
    std::string text = unit_head(spec) + fmt::format("Description={}\nRequiresMountsFor={}\n"
                                                     "CollectMode=inactive-or-failed\n\n[Service]\n",
                                                     unit_description(spec), mounts_needed(spec));
    text += service_lines;
    text += stdio_lines(spec);
    text += fmt::format("ExecStart=/usr/lib/ctrd/ctr-run connection {0}\nExecStop=/usr/lib/ctrd/ctr-run stop {0}\n"
                        "ExecStopPost=/usr/lib/ctrd/ctr-run clean-connection {0}\nSyslogIdentifier={0}\n"
                        "LogExtraFields=CTRD_NAME={0}\n",
                        spec.name);
    if (spec.max_lifetime_us != UnitSpec::infinity)
        text += fmt::format("RuntimeMaxSec={}\n", duration_text(spec.max_lifetime_us));
    return text + slice_line(spec) + common_lines(spec, resources, options);
}

std::string socket_text(const UnitSpec& spec) {
    const SocketSpec& first = spec.sockets.front(); // they all say the same
    std::string text = unit_head(spec) + fmt::format("Description={} (socket)\n\n[Socket]\nAccept=yes\n"
                                                     "Slice=machine.slice\nTriggerLimitIntervalSec=0\n",
                                                     unit_description(spec));
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
    if (start_of(spec) != Start::manual)
        compiled.links.push_back({"sockets.target.wants/" + socket, "../" + socket});
}

} // namespace ctrd::config

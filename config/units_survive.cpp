// survive-soft-reboot = true: what systemd-soft-reboot.service(8) asks of a unit that is to run on while everything
// else is stopped and started again. In drop-ins of their own: `config/machine_units.cpp` looks for the service's.
#include "config/units_parts.hpp"

#include <fmt/format.h>

namespace ctrd::config {
namespace {

/// Not through shutdown.target, as all others are: a soft-reboot comes by there, too.
constexpr std::string_view other_ends =
    "Conflicts=reboot.target kexec.target poweroff.target halt.target rescue.target emergency.target\n"
    "Before=reboot.target kexec.target poweroff.target halt.target rescue.target emergency.target\n";

void add_drop_in(const std::string& unit, const std::string& lines, Compiled& compiled) {
    compiled.files.push_back(
        {survival_drop_in(unit), fmt::format("# Made by ctrd-generator; changes are lost.\n\n{}", lines)});
}

/// A slice takes along what is in it, and is taken along by the one that it is in.
void add_slices(std::string slice, Compiled& compiled) {
    for (;;) {
        add_drop_in(slice, "[Unit]\nDefaultDependencies=no\n", compiled);
        const auto dash = slice.rfind('-');
        if (dash == std::string::npos)
            return;
        slice = slice.substr(0, dash) + ".slice";
    }
}

} // namespace

std::string survival_drop_in(const std::string& unit) { return unit + ".d/20-ctrd-soft-reboot.conf"; }

// RequiresMountsFor= would stop the container with the file system that it came from. What local-fs.target stands for
// is mounted before it starts, and a real shutdown unmounts it after it has ended.
void add_survival_units(const UnitSpec& spec, Compiled& compiled) {
    if (!spec.survives_soft_reboot)
        return;
    const std::string unit = accepts(spec) ? "ctr-" + spec.name + "@" : "ctr@" + spec.name;
    const std::string socket = accepts(spec) ? "ctr-" + spec.name : unit;
    add_drop_in(unit + ".service",
                fmt::format("[Unit]\nDefaultDependencies=no\nIgnoreOnIsolate=yes\nSurviveFinalKillSignal=yes\n"
                            "After=basic.target local-fs.target remote-fs.target\n{}",
                            other_ends),
                compiled);
    if (!spec.sockets.empty())
        add_drop_in(
            socket + ".socket",
            fmt::format("[Unit]\nDefaultDependencies=no\nIgnoreOnIsolate=yes\nAfter=sysinit.target\n{}", other_ends),
            compiled);
    add_slices(spec.slice.value_or("machine.slice"), compiled);
    // ctrd itself is stopped, and would be started by the next container only: those that run have need of it.
    compiled.links.push_back({"multi-user.target.wants/ctrd.service", std::string{unit_folder} + "/ctrd.service"});
}

} // namespace ctrd::config

// Where machined finds the "system bus" of a container in which no systemd runs: a socket of ours, one for each
// container, bound to the place where the container's own bus would listen. ctr-run makes it, ctrd answers there.
#pragma once

#include <string>
#include <string_view>

namespace ctrd::systemd {

constexpr std::string_view machine_socket_folder = "/run/ctrd/machines/"; // 0700
/// As machined spells it. Mostly /var/run is a link to /run.
constexpr const char* container_bus_path = "/var/run/dbus/system_bus_socket";

inline std::string machine_socket_path(std::string_view container) {
    return std::string{machine_socket_folder} + std::string{container};
}

/// Where machined puts what `machinectl bind` brings; nspawn's folder, and machined knows no other.
inline std::string incoming_folder_of(std::string_view container) {
    return "/run/systemd/nspawn/propagate/" + std::string{container};
}

/// What the container sees as /run/host.
constexpr std::string_view host_files_folder = "/run/ctrd/host/"; // 0700
inline std::string host_files_of(std::string_view container) {
    return std::string{host_files_folder} + std::string{container};
}

/// "/run/ctrd/machines/web" -> "web"; empty for any other path.
inline std::string container_of_machine_socket(std::string_view path) {
    return std::string{path.starts_with(machine_socket_folder) ? path.substr(machine_socket_folder.size())
                                                               : std::string_view{}};
}

} // namespace ctrd::systemd

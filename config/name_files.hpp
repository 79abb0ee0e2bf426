// /etc/hosts and /etc/resolv.conf over an image's own, which can know neither the container's name nor where the host
// asks for names. A program that looks its own host name up (Erlang's, Java's, a mail or FTP server) fails without.
#pragma once

#include "config/unit_spec.hpp"

#include <map>
#include <string>

namespace ctrd::config {

/// The file of the container's own, beside its config.
inline constexpr const char* hosts_file = "hosts";

struct NameFiles {
    /// What lies over this file of the container: hosts_file, or the host's file of this name. Nothing over what is
    /// mounted there by declaration, nor for a systemd, which keeps its names itself.
    std::map<std::string, std::string> over{};
    std::string hosts{}; // what hosts_file holds: localhost, and the container's name; empty: there is none
};
/// Pure. In the host's network the names are the host's.
NameFiles name_files(const UnitSpec& spec);

} // namespace ctrd::config

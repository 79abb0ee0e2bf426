// runc's command line, as far as this version goes: global options, a command, its options, its arguments.
#pragma once

#include "ctrd/base/result.hpp"

#include <optional>
#include <vector>

namespace ctrd::ctr_oci {

struct Options {
    // global
    std::string root{};
    std::string log{};
    bool log_json{false};
    bool debug{false};
    bool systemd_cgroup{false};
    // of the command
    std::string command{};
    std::string bundle{"."};
    std::string console_socket{};
    std::string pid_file{};
    unsigned preserve_fds{0};
    bool new_keyring{true};
    bool detach{false};
    bool keep{false};
    bool all{false};
    bool force{false};
    bool quiet{false};
    bool json{false};
    std::vector<std::string> arguments{};
};

/// Unknown commands and options are errors that name the nearest known one. `command` is "help" or "version" for those.
Result<Options> parse_options(int argc, char** argv);

std::string help_text();
std::string help_text(const std::string& command);

} // namespace ctrd::ctr_oci

// Running a command inside a booted bed with this process's stdio.
#pragma once

#include "tools/testbed/boot/supervisor.hpp"

#include <optional>

namespace testbed {

struct Bed {
    pid_t supervisor = 0;
    pid_t init = 0;
    UniqueFd pidfd{};
    std::string cgroup;
};

// SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH and SIGCHLD, blocked and readable.
UniqueFd make_signal_fd();

// Exit status as a shell has it: 126/127 when it can't be executed, 128+N for a signal.
// A signal to us goes to the command; who does not end within ten seconds is left to the tear-down.
int run_in_bed(const Bed& bed, const std::vector<std::string>& argv, int signals, bool use_terminal);

} // namespace testbed

// ctr-run's verbs: ExecStart=, ExecStop= and ExecStopPost= of ctr@NAME.service, and ctrd's hand for exec.
#pragma once

#include "ctrd/base/notify.hpp"
#include "ctrd/base/result.hpp"

namespace ctrd::run {

/// Exit codes, as ctr-run(8) lists them.
constexpr int ok = 0;
constexpr int failed = 1;    // the container could not be started, stopped or cleaned up
constexpr int bad_usage = 2; // of ctr-run itself, or of its name
// exec ends with the process's own code, 128 + N for signal N, or:
constexpr int exec_failed = 125; // it did not come to the program: the container is gone, there is no such user ...
constexpr int not_executable = 126;
constexpr int command_not_found = 127;

Result<void> start(const std::string& name, const Notifier& manager);
Result<void> stop(const std::string& name);
Result<void> clean(const std::string& name);
/// The exit code.
int exec(const std::string& name);
/// Mounts a file or folder of the host in a running container; what the request on descriptor 3 says.
Result<void> bind(const std::string& name);

/// To stderr, which is the journal, as an error there; with the hint on a line of its own.
void print_error(const std::string& name, const Error& error);
void print_warning(const std::string& name, const Error& error);

} // namespace ctrd::run

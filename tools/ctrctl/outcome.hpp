// ctrctl's exit codes, and errors that carry one.
#pragma once

#include "ctrd/base/result.hpp"

#include <expected>
#include <string>
#include <vector>

namespace ctrd::ctl {

/// ctrctl's exit codes; exec and run end with the payload's own. docs/errors.md lists them.
enum Exit : int {
    exit_ok = 0,
    exit_failure = 1,
    exit_bad_input = 2,
    exit_no_container = 3,
    exit_denied = 4,
    exit_internal = 125, // ctrd or ctr-oci could not do its part
    exit_cannot_execute = 126,
    exit_not_found = 127,
    exit_interrupted = 130,
};

/// An error and the exit code that it ends ctrctl with.
struct Failure {
    int exit{exit_failure};
    Error error{};
};
template <class T> using Outcome = std::expected<T, Failure>;

inline std::unexpected<Failure> refuse(int exit, Error error) {
    return std::unexpected<Failure>{Failure{exit, std::move(error)}};
}

/// "ctrctl: message\n  hint: ..." on stderr; returns the exit code.
int report(const Failure& failure);
int report(int exit, const Error& error);

/// Every name keeps to the grammar of container names.
Outcome<void> check_names(const std::vector<std::string>& names);
/// "K=V" with a name that a shell could use.
Outcome<void> check_assignments(const std::vector<std::string>& assignments);

} // namespace ctrd::ctl

// CVE-2019-5736: a payload that gets itself executed as /proc/self/exe must not be able to write to our binary.
#pragma once

#include "ctrd/base/result.hpp"

namespace ctrd {

/// Returns when this program runs from a file that nobody can write through it: a read-only mount, or a sealed
/// anonymous file. If it does not, it executes itself again from one, with the same arguments and environment.
Result<void> run_from_sealed_binary(char* const* argv);

} // namespace ctrd

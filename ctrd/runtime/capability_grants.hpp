// What a process asks of capabilities and does not get. The specification wants a warning for each, and the start to go
// on: a configuration may be older or newer than the kernel, or made for a runtime with more rights than ours.
#pragma once

#include "ctrd/oci/spec.hpp"

#include <string>
#include <vector>

namespace ctrd::runtime {

/// One sentence for each reason, "process.capabilities: ...: CAP_X, CAP_Y"; none where all is granted.
/// `in_user_namespace`: the process is in another one than ours, where it has all that the kernel knows.
std::vector<std::string> capabilities_not_granted(const oci::Process& process, bool in_user_namespace);

} // namespace ctrd::runtime

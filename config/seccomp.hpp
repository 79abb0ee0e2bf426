// The seccomp profile of a container: ours, or a file in the OCI format.
#pragma once

#include "ctrd/base/result.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace ctrd::config {

/// The built-in profile (config/seccomp-default.json) for this architecture. A rule that a held capability makes
/// pointless is left out: who may mount by capability may mount.
Result<nlohmann::json> default_seccomp(const std::vector<std::string>& held_capabilities);

/// A file as `linux.seccomp` of the runtime spec has it. Docker's own format, with its conditions, is refused.
Result<nlohmann::json> parse_seccomp_profile(const std::string& text);

} // namespace ctrd::config

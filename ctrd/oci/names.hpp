// Names of the kernel's flags as config.json writes them.
#pragma once

#include "ctrd/base/result.hpp"

#include <cstdint>
#include <optional>

namespace ctrd::oci {

/// "CAP_CHOWN" -> 0; any case, as runc takes it.
std::optional<unsigned> capability_number(const std::string& name);
/// "RLIMIT_NOFILE" -> RLIMIT_NOFILE.
std::optional<int> rlimit_number(std::string_view name);
/// "network" -> CLONE_NEWNET.
std::optional<std::uint64_t> namespace_flag(std::string_view type);

} // namespace ctrd::oci

// ctr-oci --systemd-cgroup asks ctrd for its scope: it has no voice on the bus, and ctrd is on it already.
//
//     {"scope": {"unit": ..., "slice": ..., "description": ..., "properties": ["NAME=SIGNATURE:VALUE", ...]}}
//
// with a pidfd of the process that is to be in it. The answer is "done" or "error TEXT", when systemd's job has ended;
// "done" is answered by "ok".
#pragma once

#include "ctrd/base/result.hpp"
#include "machined-plugin/scope.hpp"

#include <nlohmann/json_fwd.hpp>

namespace ctrd::bus {

Result<systemd::ScopeRequest> parse_scope_request(const nlohmann::json& scope);

} // namespace ctrd::bus

// Which sysctls a container may set: those that its own namespaces keep apart from the host's, and no others.
#pragma once

#include "ctrd/plan/plan.hpp"

namespace ctrd::plan {

Result<std::vector<WriteSysctl>> plan_sysctls(const oci::Spec& spec);

} // namespace ctrd::plan

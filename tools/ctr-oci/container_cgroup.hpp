// Where a container's cgroup is, without systemd's help: made, found again and removed.
#pragma once

#include "ctrd/oci/spec.hpp"
#include "ctrd/plan/plan.hpp"
#include "ctrd/store/records.hpp"
#include "tools/ctr-oci/options.hpp"

namespace ctrd::ctr_oci {

/// To be asked before the configuration is kept: whoever finds that alone takes the cgroup for the container's.
Result<void> check_cgroup(const oci::Spec& spec, const std::string& id, bool systemd);

/// Makes it and writes it into the record. Who has no right to make one, and is not asked for limits, goes on without
/// (--rootless): then the record names none.
Result<void> make_own_cgroup(store::Record& record, const oci::Spec& spec, const Options& options, bool without_limits);

/// Of a container whose creator was killed before it could write its record. A scope (slice:prefix:name) goes by
/// itself.
void find_cgroup(store::Record& record, const oci::Spec& spec);

/// Without root no filter can be loaded, and none is needed: nodes that could be made inside are not the host's, and
/// what is bound from the host has the host's own permissions.
Result<void> limit_devices_of(const store::Record& record, const plan::Plan& plan);

/// Kills what is left in it. One that is not ours (a scope) systemd removes.
Result<void> remove_cgroup_of(const store::Record& record);

} // namespace ctrd::ctr_oci

// ctr-init, for containers that want it as their PID 1.
#pragma once

#include "ctrd/base/fd.hpp"
#include "tools/ctr-run/declared.hpp"

namespace ctrd::run {

/// A private, read-only mount of just that file: root of the container, whose PID 1 it becomes, can't write to it by
/// /proc/1/exe.
Result<UniqueFd> open_init();

/// What ctr-init is told, before the payload's own arguments.
std::vector<std::string> init_arguments(const Declared& declared);

} // namespace ctrd::run

// What a container has to be a machine in every respect, beside its processes: the socket at which machined asks for
// shells (ctrd answers), and the folder through which "machinectl bind" comes in.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/oci/spec.hpp"
#include "ctrd/plan/plan.hpp"

namespace ctrd::run {

struct MachineFiles {
    UniqueFd socket{}; // listening; none where a bus of its own runs in the container
    std::vector<plan::Offer> offers{};
};

/// `with_socket`: no bus of its own is expected in the container.
Result<MachineFiles> make_machine_files(const std::string& name, const oci::Spec& spec, bool with_socket);

/// No error where there is none. Not the folder of "machinectl bind" while something is mounted there.
Result<void> remove_machine_files(const std::string& name);

} // namespace ctrd::run

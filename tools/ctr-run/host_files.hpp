// /run/host of a container: what systemd's Container Interface says that a container manager tells a systemd inside
// (systemd-nspawn's names): container-manager, container-uuid, os-release of the host, and where they are asked for the
// socket for READY=1 and the credentials.
//
// It is a folder of the host's, /run/ctrd/host/NAME, that the container sees read-only. Nobody but root of the host
// can reach it by its path.
#pragma once

#include "ctrd/oci/spec.hpp"
#include "ctrd/plan/plan.hpp"
#include "tools/ctr-run/ready_socket.hpp"

#include <optional>

namespace ctrd::run {

struct HostFiles {
    std::optional<ReadySocket> ready{};
    std::optional<plan::Offer> offer{};
};

/// For a systemd, for `awaits_ready`, or where this process was given credentials ($CREDENTIALS_DIRECTORY); else
/// nothing. What the payload has to know of it is added to the environment of `spec`. `machine_id`: which it is to take
/// where it has none; empty: the unit's invocation.
Result<HostFiles> make_host_files(const std::string& name, oci::Spec& spec, bool systemd, bool awaits_ready,
                                  const std::string& machine_id = {});

/// No error where there is none.
Result<void> remove_host_files(const std::string& name);

} // namespace ctrd::run

// --log: what conmon, Podman and containerd's shim read when a command has failed.
#pragma once

#include "ctrd/oci/resources.hpp"
#include "tools/ctr-oci/options.hpp"

namespace ctrd::ctr_oci {

/// To stderr and to the log.
void log_error(const Options& options, const Error& error);
/// To the log if there is one, else to stderr; nowhere with --log-level=error.
void log_warning(const Options& options, const std::string& text);
/// What a configuration limits and cgroup v2 can't.
void warn_of_ignored(const Options& options, const oci::Resources& resources);

} // namespace ctrd::ctr_oci

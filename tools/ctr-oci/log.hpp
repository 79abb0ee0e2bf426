// --log: what conmon, Podman and containerd's shim read when a command has failed.
#pragma once

#include "ctrd/oci/spec.hpp"
#include "tools/ctr-oci/options.hpp"

namespace ctrd::ctr_oci {

/// To stderr and to the log.
void log_error(const Options& options, const Error& error);
/// To the log if there is one, else to stderr; nowhere with --log-level=error.
void log_warning(const Options& options, const std::string& text);
/// What a configuration limits and cgroup v2 can't.
void warn_of_ignored(const Options& options, const oci::Resources& resources);
/// Which capabilities a process asks for and does not get.
void warn_of_capabilities(const Options& options, const oci::Process& process, bool in_user_namespace);

} // namespace ctrd::ctr_oci

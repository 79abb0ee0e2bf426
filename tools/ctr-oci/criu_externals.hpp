// What a container has of the host, which CRIU does not save but must be told of, in the same words at both ends: bind
// mounts, namespaces joined by path, the standard streams.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/plan/plan.hpp"
#include "tools/ctr-oci/criu_message.hpp"

#include <sys/types.h>

namespace ctrd::ctr_oci {

/// A mount from outside. Saving: where it is and its name; restoring: its name and where it comes from.
struct ExternalMount {
    std::string key{};
    std::string value{};
};

/// As the running container has them; `cgroup_folder`: see below.
Result<std::vector<ExternalMount>> external_mounts_of(pid_t pid, const plan::Plan& plan);
/// As they are to be made.
Result<std::vector<ExternalMount>> external_mounts_for(const plan::Plan& plan, const std::string& cgroup_folder);

/// Makes in the rootfs what CRIU mounts on. It goes by paths, so a link on the way is refused.
Result<void> make_mount_points(const std::string& rootfs, const plan::Plan& plan);

/// A descriptor that CRIU puts in the place of a saved one with this name.
struct InheritedFd {
    std::string key{};
    int fd{-1};
};

/// The names of the standard streams of `pid`, those that are the host's; "" for what CRIU saves itself.
Result<std::vector<std::string>> stream_names(pid_t pid);
Result<void> write_stream_names(int images, const std::vector<std::string>& names);
/// Our own streams in the place of the saved ones.
Result<std::vector<InheritedFd>> inherited_streams(int images);

/// Namespaces that were joined by path. CRIU can do so for the network and the pids alone; others are an error.
Result<std::vector<std::string>> external_namespaces_of(pid_t pid, const plan::Plan& plan);
/// `opened` owns what is in the list.
Result<std::vector<InheritedFd>> external_namespaces_for(const plan::Plan& plan, std::vector<UniqueFd>& opened);

/// What can't come back: refused when it is saved and when it is restored.
Result<void> check_restorable(const oci::Spec& spec, const plan::Plan& plan);

/// Into criu_opts.
void add_mounts(CriuMessage& options, const std::vector<ExternalMount>& mounts);
void add_externals(CriuMessage& options, const std::vector<std::string>& externals);
void add_inherited(CriuMessage& options, const std::vector<InheritedFd>& fds);

} // namespace ctrd::ctr_oci

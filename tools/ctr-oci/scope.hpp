// --systemd-cgroup: a scope of the service manager as the container's cgroup.
#pragma once

#include "ctrd/base/fd.hpp"

#include <sys/types.h>

#include <string>
#include <vector>

namespace ctrd::ctr_oci {

/// The static program can't speak D-Bus. ctr-scope does: it asks for a scope with itself inside, so that the manager
/// works while we prepare the start, and leaves when the container's process is there.
class Scope {
public:
    /// `cgroups_path`: "slice:prefix:name", as runc and Podman write it. `properties`: see scope_properties.hpp.
    static Result<Scope> request(const std::string& cgroups_path, const std::string& id,
                                 const std::vector<std::string>& properties);
    Scope(Scope&& other) noexcept;
    Scope& operator=(Scope&&) = delete;
    ~Scope();

    /// The scope's cgroup folder; waits for the manager's job.
    Result<std::string> await();

private:
    Scope(pid_t helper, UniqueFd socket) : helper_{helper}, socket_{std::move(socket)} {}
    pid_t helper_;
    UniqueFd socket_;
};

/// Of the scope whose cgroup this is.
Result<void> set_scope_properties(const std::string& cgroup, const std::vector<std::string>& properties);
Result<void> stop_scope(const std::string& cgroup);

} // namespace ctrd::ctr_oci

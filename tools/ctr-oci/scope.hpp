// --systemd-cgroup: a scope of the service manager as the container's cgroup.
#pragma once

#include "ctrd/base/fd.hpp"
#include "tools/ctr-oci/placeholder.hpp"

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace ctrd::ctr_oci {

/// The static program can't speak D-Bus. ctrd can, and makes a scope around a process of ours that does nothing else;
/// where there is no ctrd, ctr-scope makes one with itself inside. Either way the manager works while we prepare the
/// start, and that process leaves when the container's own is there.
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
    struct Request {
        std::string unit{};
        std::string slice{};
        std::string description{};
        std::vector<std::string> properties{};
    };
    static Result<Scope> from_ctrd(const Request& request);
    static Result<Scope> from_helper(const Request& request);
    Scope(Request request, UniqueFd socket) : request_{std::move(request)}, socket_{std::move(socket)} {}
    Request request_;
    UniqueFd socket_;
    std::optional<Placeholder> placeholder_{}; // with ctrd
    pid_t helper_{-1};                         // without
};

/// Of the scope whose cgroup this is.
Result<void> set_scope_properties(const std::string& cgroup, const std::vector<std::string>& properties);

} // namespace ctrd::ctr_oci

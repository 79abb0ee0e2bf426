// Mounts whose files appear with other ids. The kernel takes the mapping from a user namespace, which is made for it.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/plan/plan.hpp"

#include <sys/types.h>

namespace ctrd::runtime {

/// The lines of uid_map and gid_map (user_namespaces(7)).
std::string id_map_text(const std::vector<oci::IdMapping>& mappings);

/// Into the user namespace of `pid`. Who is not root may map just himself; for more newuidmap(1) and newgidmap(1)
/// decide by /etc/subuid and /etc/subgid. Nothing where there are no mappings.
Result<void> write_id_maps(pid_t pid, const std::vector<oci::IdMapping>& uids, const std::vector<oci::IdMapping>& gids);

/// A user namespace for each mapping that was asked for; several mounts usually share one.
class MappedNamespaces {
public:
    /// A descriptor that lives as long as this object.
    Result<int> find(const plan::IdMap& map);

private:
    struct Entry {
        plan::IdMap map;
        UniqueFd fd;
    };
    std::vector<Entry> entries_{};
};

/// `tree`: a detached mount.
Result<void> map_ids(int tree, const plan::IdMap& map, MappedNamespaces& namespaces);

} // namespace ctrd::runtime

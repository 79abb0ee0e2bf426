// The bed's own sub-tree of the cgroup v2 hierarchy.
#pragma once

#include "tools/testbed/boot/util.hpp"

namespace testbed {

// Where cgroup v2 is mounted; mounts it at `fallback` (a private folder) where it is not mounted at all.
std::string find_cgroup2(const std::string& fallback);

// Removes the sub-trees that killed launchers left behind.
void remove_stale_cgroups(const std::string& cgroup2);

struct BedCgroup {
    std::string path;
    UniqueFd lock; // held while the bed lives; who can take it has found a stale cgroup
};

// Makes `<cgroup2>/ctrd-testbed-XXXXXX`.
BedCgroup make_bed_cgroup(const std::string& cgroup2);

// Kills what is left in the tree and removes it; false when something keeps it.
bool remove_cgroup_tree(const std::string& path);

} // namespace testbed

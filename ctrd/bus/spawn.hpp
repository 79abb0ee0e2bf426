// A program of our own, started with exactly the descriptors that it is to have.
#pragma once

#include "ctrd/base/fd.hpp"

#include <spawn.h>
#include <sys/types.h>

namespace ctrd::bus {

/// The spawned program's descriptors and signals, freed in the end.
class SpawnPlan {
public:
    SpawnPlan();
    ~SpawnPlan();
    SpawnPlan(const SpawnPlan&) = delete;
    SpawnPlan& operator=(const SpawnPlan&) = delete;

    /// The child gets `fd` as `number`. A copy far above the numbers is made first: an fd of ours may be one of them.
    Result<void> pass(int fd, int number);
    Result<pid_t> spawn(const char* program, char* const* argv) const;

private:
    posix_spawn_file_actions_t actions_{};
    posix_spawnattr_t attributes_{};
    std::vector<UniqueFd> copies_{};
};

} // namespace ctrd::bus

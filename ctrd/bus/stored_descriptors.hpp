// What the service manager keeps for the containers' units in their descriptor stores is found again by looking at the
// descriptors of that process: systemd gives them back to their unit only.
#pragma once

#include "ctrd/activation/record.hpp"
#include "ctrd/base/fd.hpp"

#include <sys/stat.h>
#include <sys/types.h>

#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace ctrd::bus {

/// Of the descriptors of `pid`, copies of those whose link in /proc is `like` what is looked for, and of which `is_it`
/// holds when they are ours.
Result<std::vector<UniqueFd>> take_descriptors_from(pid_t pid, bool (*like)(std::string_view link),
                                                    bool (*is_it)(int fd));

/// A kind of descriptor, of which a container's record names its own by a number.
struct RecordedKind {
    const char* name; // for messages: "terminals"
    bool (*like)(std::string_view link);
    bool (*is_it)(int fd);
    std::uint64_t activation::RunRecord::*number; // 0: the container has none
    std::uint64_t (*number_of)(const struct stat& descriptor);
};
/// Those that `manager` keeps for these containers.
void recover_recorded(pid_t manager, const RecordedKind& kind, std::span<const std::string> containers,
                      const std::function<void(const activation::RunRecord& record, UniqueFd fd)>& found);

} // namespace ctrd::bus

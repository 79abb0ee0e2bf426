// What an inode says of a file.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace ctrd::erofs {

/// The number of an inode.
using Nid = std::uint64_t;

using Xattrs = std::vector<std::pair<std::string, std::string>>;

struct Node {
    std::uint32_t mode{0}; // with what kind of file it is
    std::uint32_t uid{0};
    std::uint32_t gid{0};
    std::int64_t seconds{0}; // of the one time that there is
    std::uint32_t nanoseconds{0};
    std::uint32_t links{1};
    std::uint32_t major{0}, minor{0}; // of a device
    Xattrs xattrs{};
};

} // namespace ctrd::erofs

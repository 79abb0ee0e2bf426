// The owners of files in a container with a user namespace, as the container sees them: what the host calls 524288 is
// root there.
#pragma once

#include "ctrd/base/result.hpp"
#include "ctrd/oci/spec.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ctrd::image {

/// Without mappings everybody is who the host says.
struct Owners {
    std::vector<oci::IdMapping> uids{};
    std::vector<oci::IdMapping> gids{};

    /// 65534 (nobody), where the container has no such id.
    [[nodiscard]] std::uint32_t uid(std::uint32_t host) const;
    [[nodiscard]] std::uint32_t gid(std::uint32_t host) const;
    /// Attributes that name ids: ACLs, and whose root a file's capabilities are meant for.
    void translate(std::vector<std::pair<std::string, std::string>>& xattrs) const;
};

/// What /proc/PID/uid_map says (user_namespaces(7)); the host's own is no mapping.
Result<std::vector<oci::IdMapping>> parse_id_map(std::string_view text);

} // namespace ctrd::image

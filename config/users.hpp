// `user` against the rootfs' own /etc/passwd and /etc/group: text in, ids out. No NSS: both files are hostile.
#pragma once

#include "ctrd/base/result.hpp"

#include <cstdint>
#include <vector>

namespace ctrd::config {

struct ResolvedUser {
    std::uint32_t uid{0};
    std::uint32_t gid{0};
    std::vector<std::uint32_t> additional_gids{}; // sorted; none if the group was named
    std::string home{"/"};
};

/// `user` as parse_user() takes it. Names are looked up; an id without an entry has gid 0 and home "/", as in Docker.
/// Lines that are no valid entries are passed over.
Result<ResolvedUser> resolve_user(std::string_view user, std::string_view passwd, std::string_view group);

} // namespace ctrd::config

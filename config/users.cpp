#include "config/users.hpp"

#include "config/syntax.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace ctrd::config {
namespace {

constexpr std::uint64_t max_id = 4294967294;
constexpr std::size_t max_groups = 1024;

/// Calls `use` with the fields of each line until it returns true.
template <std::size_t N, class Use> void each_entry(std::string_view text, Use use) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        std::array<std::string_view, N> fields;
        std::size_t count = 0;
        for (; count < N; ++count) {
            const std::size_t colon = line.find(':');
            fields[count] = line.substr(0, colon);
            if (colon == std::string_view::npos) {
                ++count;
                break;
            }
            line.remove_prefix(colon + 1);
        }
        if (count == N && !fields[0].empty() && use(fields))
            return;
    }
}

struct PasswdEntry {
    std::string_view name;
    std::uint32_t uid;
    std::uint32_t gid;
    std::string_view home;
};

std::optional<PasswdEntry> find_user(const Principal& wanted, std::string_view passwd) {
    std::optional<PasswdEntry> found;
    each_entry<7>(passwd, [&](const std::array<std::string_view, 7>& fields) {
        const auto uid = parse_decimal(fields[2], max_id);
        const auto gid = parse_decimal(fields[3], max_id);
        if (!uid || !gid || (wanted.id ? *wanted.id != *uid : fields[0] != wanted.name))
            return false;
        found = PasswdEntry{fields[0], static_cast<std::uint32_t>(*uid), static_cast<std::uint32_t>(*gid), fields[5]};
        return true;
    });
    return found;
}

std::optional<std::uint32_t> find_group(std::string_view name, std::string_view group) {
    std::optional<std::uint32_t> found;
    each_entry<4>(group, [&](const std::array<std::string_view, 4>& fields) {
        const auto gid = parse_decimal(fields[2], max_id);
        if (!gid || fields[0] != name)
            return false;
        found = static_cast<std::uint32_t>(*gid);
        return true;
    });
    return found;
}

bool lists(std::string_view members, std::string_view name) {
    while (!members.empty()) {
        const std::size_t comma = std::min(members.find(','), members.size());
        if (members.substr(0, comma) == name)
            return true;
        members.remove_prefix(std::min(comma + 1, members.size()));
    }
    return false;
}

Result<std::vector<std::uint32_t>> groups_of(std::string_view name, std::uint32_t primary, std::string_view group) {
    std::vector<std::uint32_t> gids;
    each_entry<4>(group, [&](const std::array<std::string_view, 4>& fields) {
        const auto gid = parse_decimal(fields[2], max_id);
        if (gid && *gid != primary && lists(fields[3], name))
            gids.push_back(static_cast<std::uint32_t>(*gid));
        return gids.size() > max_groups;
    });
    if (gids.size() > max_groups)
        return fail(
            bad_input(fmt::format("'/etc/group' in the rootfs puts '{}' into more than {} groups", name, max_groups)));
    std::ranges::sort(gids);
    const auto repeated = std::ranges::unique(gids);
    gids.erase(repeated.begin(), repeated.end());
    return gids;
}

} // namespace

Result<ResolvedUser> resolve_user(std::string_view user, std::string_view passwd, std::string_view group) {
    const UserText text = TRY(parse_user(user));
    const auto entry = find_user(text.user, passwd);
    if (!entry && !text.user.id)
        return fail(bad_input(fmt::format("no user '{}' in '/etc/passwd' of the rootfs", text.user.name),
                              passwd.empty() ? "the rootfs has no such file: give the user as a number"
                                             : "give the user as a number, or add it"));
    ResolvedUser resolved;
    if (entry) {
        resolved.uid = entry->uid;
        resolved.gid = entry->gid;
        if (check_absolute_path(entry->home))
            resolved.home = entry->home;
    } else {
        resolved.uid = *text.user.id;
    }
    if (text.group) {
        const auto gid = text.group->id ? text.group->id : find_group(text.group->name, group);
        if (!gid)
            return fail(bad_input(fmt::format("no group '{}' in '/etc/group' of the rootfs", text.group->name),
                                  "give the group as a number, or add it"));
        resolved.gid = *gid;
    } else if (entry) {
        resolved.additional_gids = TRY(groups_of(entry->name, resolved.gid, group));
    }
    return resolved;
}

Result<std::optional<PrivateUsers>> parse_private_users(std::string_view text) {
    using Answer = std::optional<PrivateUsers>;
    if (text == "no")
        return Answer{};
    if (text == "pick")
        return Answer{{.pick = true}};
    if (text == "identity")
        return Answer{PrivateUsers{}};
    constexpr std::uint64_t no_id = UINT32_MAX; // to the kernel
    const auto colon = text.find(':');
    const auto first = parse_decimal(text.substr(0, colon), no_id - 1);
    const auto count = colon == std::string_view::npos ? std::optional<std::uint64_t>{65536}
                                                       : parse_decimal(text.substr(colon + 1), no_id);
    if (!first || !count || *count == 0 || *first + *count > no_id)
        return fail(bad_input(fmt::format("'{}' is no range of ids", text),
                              "write \"pick\", \"identity\", \"no\", or the first id of the host and how many: "
                              "\"524288:65536\""));
    if (*first == 0)
        return fail(bad_input("the host's own root would be the container's", "write \"identity\" if that is meant"));
    return Answer{{.first = static_cast<std::uint32_t>(*first), .count = static_cast<std::uint32_t>(*count)}};
}

std::string private_users_text(const PrivateUsers& users) {
    if (users.pick)
        return "pick";
    return users.first == 0 ? "identity" : fmt::format("{}:{}", users.first, users.count);
}

} // namespace ctrd::config

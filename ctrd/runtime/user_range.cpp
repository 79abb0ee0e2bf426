#include "ctrd/runtime/user_range.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/text.hpp"

#include <fmt/format.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <string_view>

namespace ctrd::runtime {
namespace {

struct Range {
    std::uint64_t first{0};
    std::uint64_t count{0};
};

std::optional<std::uint64_t> number(std::string_view text) { return parse_number<std::uint64_t>(text); }

/// Of each line the ids from field `first` on; `count` is the field that says how many, or 0 for one.
Result<void> add_ranges(std::vector<Range>& taken, const std::string& path, unsigned first, unsigned count) {
    const auto text = read_file(path, 64U << 20);
    if (!text && text.error().code == std::errc::no_such_file_or_directory)
        return {};
    const std::string whole = TRY(Result<std::string>{text});
    for (std::string_view rest = whole; !rest.empty();) {
        const auto line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        const auto id = number(colon_field(line, first));
        const auto size = count == 0 ? std::optional<std::uint64_t>{1} : number(colon_field(line, count));
        if (id && size && *size <= UINT32_MAX)
            taken.push_back({*id, *size});
    }
    return {};
}

std::vector<std::string> names_in(const std::string& folder) {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> entries{::opendir(folder.c_str()), ::closedir};
    while (const dirent* entry = entries ? ::readdir(entries.get()) : nullptr)
        if (entry->d_name[0] != '.')
            names.emplace_back(entry->d_name);
    return names;
}

std::optional<std::uint32_t> range_of(const std::string& folder, const std::string& name) {
    auto text = read_file(folder + "/" + name, 64);
    if (!text || !text->ends_with('\n'))
        return {};
    text->pop_back();
    const auto first = number(*text);
    if (!first || *first < first_container_id || *first + ids_of_a_container - 1 > last_container_id)
        return {};
    return static_cast<std::uint32_t>(*first);
}

Result<std::vector<Range>> taken_ranges(const UserRangePaths& paths) {
    std::vector<Range> taken;
    TRY_VOID(add_ranges(taken, paths.accounts + "/passwd", 2, 0));
    TRY_VOID(add_ranges(taken, paths.accounts + "/group", 2, 0));
    TRY_VOID(add_ranges(taken, paths.accounts + "/subuid", 1, 2));
    TRY_VOID(add_ranges(taken, paths.accounts + "/subgid", 1, 2));
    for (const std::string& name : names_in(paths.nspawn))
        if (const auto first = number(name))
            taken.push_back({*first, ids_of_a_container});
    for (const std::string& name : names_in(paths.ours))
        if (const auto first = range_of(paths.ours, name))
            taken.push_back({*first, ids_of_a_container});
    return taken;
}

bool is_free(std::uint64_t first, const std::vector<Range>& taken) {
    return std::ranges::none_of(taken, [first](const Range& other) {
        return first < other.first + other.count && other.first < first + ids_of_a_container;
    });
}

/// Where the search begins: by its name, so that a container that has lost its note mostly gets the same ids.
std::uint32_t slot_of(std::string_view name, std::uint32_t slots) {
    std::uint64_t hash = 14695981039346656037U; // FNV-1a
    for (const char c : name)
        hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    return static_cast<std::uint32_t>(hash % slots);
}

Result<std::uint32_t> find_free(const std::string& name, const UserRangePaths& paths) {
    constexpr std::uint32_t slots = (last_container_id + 1 - first_container_id) / ids_of_a_container;
    const auto taken = TRY(taken_ranges(paths));
    const std::uint32_t begin = slot_of(name, slots);
    for (std::uint32_t i = 0; i < slots; ++i) {
        const std::uint32_t first = first_container_id + (begin + i) % slots * ids_of_a_container;
        if (is_free(first, taken))
            return first;
    }
    return fail(Error{std::errc::device_or_resource_busy,
                      fmt::format("no {} ids in a row are free for container '{}' between {} and {}",
                                  ids_of_a_container, name, first_container_id, last_container_id),
                      "/etc/passwd, /etc/group, /etc/subuid and /etc/subgid say who has them; 'ctrctl image prune' "
                      "gives back those of containers that are gone"});
}

/// One who picks at a time.
Result<UniqueFd> lock_folder(const std::string& path) {
    TRY_VOID(make_dirs(path.substr(0, path.rfind('/')), 0700));
    TRY_VOID(make_dirs(path, 0700));
    UniqueFd folder = TRY(open_at(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    while (::flock(folder.get(), LOCK_EX) < 0)
        if (errno != EINTR)
            return fail(os_error(errno, "cannot lock '" + path + "'"));
    return folder;
}

} // namespace

Result<std::uint32_t> pick_user_range(const std::string& name, const UserRangePaths& paths) {
    const UniqueFd lock = TRY(lock_folder(paths.ours).context("cannot pick ids for container '" + name + "'"));
    if (const auto known = range_of(paths.ours, name))
        return *known;
    const std::uint32_t first = TRY(find_free(name, paths));
    const std::string path = paths.ours + "/" + name;
    TRY_VOID(write_atomic(path, fmt::format("{}\n", first), 0600));
    const UniqueFd note = TRY(open_at(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW));
    if (::fsync(note.get()) < 0 || ::fsync(lock.get()) < 0)
        return fail(os_error(errno, "cannot write '" + path + "' to the disk"));
    return first;
}

Result<void> release_user_range(const std::string& name, const UserRangePaths& paths) {
    const std::string path = paths.ours + "/" + name;
    if (::unlink(path.c_str()) == 0 || errno == ENOENT)
        return {};
    return fail(os_error(errno, "cannot remove '" + path + "'"));
}

Result<void> rename_user_range(const std::string& name, const std::string& to, const UserRangePaths& paths) {
    const std::string from = paths.ours + "/" + name;
    if (::rename(from.c_str(), (paths.ours + "/" + to).c_str()) == 0 || errno == ENOENT)
        return {};
    return fail(os_error(errno, "cannot rename '" + from + "' to '" + to + "'"));
}

std::vector<oci::IdMapping> id_mappings(std::uint32_t first, std::uint32_t count) { return {{0, first, count}}; }

} // namespace ctrd::runtime

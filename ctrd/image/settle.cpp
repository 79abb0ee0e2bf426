#include "ctrd/image/settle.hpp"

#include "ctrd/base/rooted.hpp"
#include "ctrd/image/xattrs.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace ctrd::image {
namespace {

Error at_path(int err, std::string_view doing, const std::string& path) {
    return os_error(err, std::string{doing} + " '" + printable(path) + "'");
}

bool is_no_folder(int err) { return err == ENOENT || err == ENOTDIR || err == ELOOP; }

std::string parent_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string lower(const std::string& path) { return "the lower '" + printable(path) + "'"; }

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

class Settler {
public:
    Settler(int tree, std::span<const LayerNode> lowers) : tree_{tree}, lowers_{lowers} {}

    /// The uppermost layer's root is what the container sees as "/".
    Result<void> root() { return copy_attributes(".", TRY(find_in_layers(lowers_, ""))); }

    Result<void> folder(const std::string& implied) {
        const std::string path = moved(implied);
        if (!rooted_folder(path) && is_no_folder(errno))
            return {}; // it was named through a link, and replaced by its own name
        const Found below = TRY(find_in_layers(lowers_, path));
        if (below.kind == Found::Kind::link && below.path == path)
            return move_to_target(path);
        return copy_attributes(path, below);
    }

    Result<void> link(LayerDebts::Link link) {
        link.path = moved(std::move(link.path));
        link.target = moved(std::move(link.target));
        if (::faccessat(tree_, link.target.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
            const Found below = TRY(find_in_layers(lowers_, link.target));
            if (below.path != link.target || (below.kind != Found::Kind::link && below.kind != Found::Kind::other))
                return fail(bad_input("'" + printable(link.path) + "' is a hard link to '" + printable(link.target) +
                                      "', which is not in this layer nor a file in those below"));
            TRY_VOID(make_parents(link.target));
            TRY_VOID(copy(below, link.target));
        }
        const UniqueFd from{rooted::open_raw(tree_, ("/" + parent_of(link.target)).c_str(), O_PATH | O_DIRECTORY)};
        const UniqueFd to{rooted::open_raw(tree_, ("/" + parent_of(link.path)).c_str(), O_PATH | O_DIRECTORY)};
        if (to)
            keep_times(to.get(), parent_of(link.path));
        if (!from || !to ||
            ::linkat(from.get(), name_of(link.target).c_str(), to.get(), name_of(link.path).c_str(), 0) < 0)
            return fail(at_path(errno, "cannot make the hard link", link.path));
        return {};
    }

    /// Last: everything before it changes folders.
    Result<void> set_times() {
        for (const auto& [path, times] : times_) {
            const UniqueFd folder = rooted_folder(path);
            if (!folder && is_no_folder(errno)) // it has moved since
                continue;
            if (!folder || ::futimens(folder.get(), times.data()) < 0)
                return fail(at_path(errno, "cannot set the time of", path));
        }
        return {};
    }

private:
    [[nodiscard]] UniqueFd rooted_folder(const std::string& path) const {
        return UniqueFd{rooted::open_raw(tree_, ("/" + path).c_str(), O_RDONLY | O_DIRECTORY)};
    }

    /// What is put into a folder changes its time; the layer may have said another.
    void keep_times(int folder, const std::string& path) {
        struct stat st {};
        const std::string known = path.empty() ? "." : path;
        if (std::ranges::find(times_, known, [](const auto& one) { return one.first; }) == times_.end() &&
            ::fstat(folder, &st) == 0)
            times_.emplace_back(known, std::array{st.st_atim, st.st_mtim});
    }

    /// Where it is since a folder on its way has become what it is a link to below.
    [[nodiscard]] std::string moved(std::string path) const {
        for (const auto& [from, to] : moved_)
            if (path == from || path.starts_with(from + "/"))
                path = to + path.substr(from.size());
        return path;
    }

    Result<void> copy_attributes(const std::string& path, const Found& below) {
        const UniqueFd folder{rooted::open_raw(tree_, path.c_str(), O_RDONLY | O_DIRECTORY)};
        if (!folder)
            return fail(at_path(errno, "cannot open the folder", path));
        if (below.kind != Found::Kind::folder) {
            times_.emplace_back(path, std::array<timespec, 2>{}); // as good as any, and the same each time
            return {};
        }
        const struct stat& st = below.node->stat();
        if (::fchown(folder.get(), st.st_uid, st.st_gid) < 0 || ::fchmod(folder.get(), st.st_mode & 07777) < 0)
            return fail(at_path(errno, "cannot take over owner and mode of the lower", path));
        TarEntry attributes;
        attributes.path = path;
        attributes.xattrs = TRY(below.node->xattrs().context(lower(path)));
        TRY_VOID(set_xattrs(folder.get(), attributes));
        times_.emplace_back(path, std::array{st.st_atim, st.st_mtim});
        return {};
    }

    /// Folders down to `path`'s, each with the lower one's attributes.
    Result<void> make_parents(const std::string& path) {
        for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
            const std::string prefix = path.substr(0, slash);
            const UniqueFd parent{rooted::open_raw(tree_, ("/" + parent_of(prefix)).c_str(), O_PATH | O_DIRECTORY)};
            if (!parent)
                return fail(at_path(errno, "cannot open the folder of", prefix));
            keep_times(parent.get(), parent_of(prefix));
            if (::mkdirat(parent.get(), name_of(prefix).c_str(), 0755) == 0) {
                const Found below = TRY(find_in_layers(lowers_, prefix));
                TRY_VOID(copy_attributes(prefix, below));
            } else if (errno != EEXIST) {
                return fail(at_path(errno, "cannot make the folder", prefix));
            }
        }
        return {};
    }

    Result<void> move_to_target(const std::string& path) {
        const std::string target = TRY(resolve_in_layers(lowers_, path));
        if (target.empty())
            return fail(bad_input("the layer writes below '" + printable(path) +
                                  "', which is a link to nothing in the layers below"));
        TRY_VOID(make_parents(target));
        const UniqueFd from{rooted::open_raw(tree_, ("/" + parent_of(path)).c_str(), O_PATH | O_DIRECTORY)};
        const UniqueFd to{rooted::open_raw(tree_, ("/" + parent_of(target)).c_str(), O_PATH | O_DIRECTORY)};
        if (!from || !to)
            return fail(at_path(errno, "cannot open the folder of", path));
        keep_times(from.get(), parent_of(path));
        keep_times(to.get(), parent_of(target));
        if (::renameat2(from.get(), name_of(path).c_str(), to.get(), name_of(target).c_str(), RENAME_NOREPLACE) < 0)
            return fail(errno == EEXIST ? Error{std::errc::not_supported, "the layer writes to '" + printable(target) +
                                                                              "' directly and through the link '" +
                                                                              printable(path) + "'"}
                                        : at_path(errno, "cannot move the folder", path));
        moved_.emplace_back(path, target);
        return copy_attributes(target, TRY(find_in_layers(lowers_, target)));
    }

    Result<void> copy(const Found& below, const std::string& path) {
        const UniqueFd folder{rooted::open_raw(tree_, ("/" + parent_of(path)).c_str(), O_PATH | O_DIRECTORY)};
        if (!folder)
            return fail(at_path(errno, "cannot open the folder of", path));
        keep_times(folder.get(), parent_of(path));
        const struct stat& st = below.node->stat();
        const std::string name = name_of(path);
        if (below.kind == Found::Kind::link) {
            if (::symlinkat(below.target.c_str(), folder.get(), name.c_str()) < 0)
                return fail(at_path(errno, "cannot copy the link", path));
        } else if (!S_ISREG(st.st_mode)) {
            if (::mknodat(folder.get(), name.c_str(), st.st_mode, st.st_rdev) < 0)
                return fail(at_path(errno, "cannot copy", path));
        } else {
            TRY_VOID(copy_content(below, folder.get(), name, path));
        }
        if (::fchownat(folder.get(), name.c_str(), st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
            (!S_ISLNK(st.st_mode) && ::fchmodat(folder.get(), name.c_str(), st.st_mode & 07777, 0) < 0))
            return fail(at_path(errno, "cannot set owner and mode of", path));
        // After the owner, whose change takes a file's capabilities away.
        if (S_ISREG(st.st_mode))
            TRY_VOID(copy_xattrs(below, folder.get(), name, path));
        const timespec times[] = {st.st_atim, st.st_mtim};
        if (::utimensat(folder.get(), name.c_str(), times, AT_SYMLINK_NOFOLLOW) < 0)
            return fail(at_path(errno, "cannot set the time of", path));
        return {};
    }

    static Result<void> copy_content(const Found& from, int folder, const std::string& name, const std::string& path) {
        const UniqueFd out{::openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
        if (!out)
            return fail(at_path(errno, "cannot copy", path));
        return from.node->copy_to(out.get()).context(lower(path));
    }

    static Result<void> copy_xattrs(const Found& from, int folder, const std::string& name, const std::string& path) {
        const UniqueFd out{::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
        if (!out)
            return fail(at_path(errno, "cannot copy the attributes of", path));
        TarEntry attributes;
        attributes.path = path;
        attributes.xattrs = TRY(from.node->xattrs().context(lower(path)));
        return set_xattrs(out.get(), attributes);
    }

    int tree_;
    std::span<const LayerNode> lowers_;
    std::vector<std::pair<std::string, std::string>> moved_{};
    std::vector<std::pair<std::string, std::array<timespec, 2>>> times_{};
};

} // namespace

Result<void> settle(int tree, const LayerDebts& debts, std::span<const LayerNode> lowers) {
    if (!debts.implied_root && debts.implied_folders.empty() && debts.lower_links.empty())
        return {};
    Settler settler{tree, lowers};
    if (debts.implied_root)
        TRY_VOID(settler.root());
    for (const std::string& path : debts.implied_folders)
        TRY_VOID(settler.folder(path));
    for (const auto& link : debts.lower_links)
        TRY_VOID(settler.link(link));
    return settler.set_times();
}

} // namespace ctrd::image

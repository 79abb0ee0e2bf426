#include "ctrd/image/tree_writer.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/rooted.hpp"
#include "ctrd/image/xattrs.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>

namespace ctrd::image {
namespace {

timespec to_timespec(const TarTime& time) { return {time.seconds, static_cast<long>(time.nanoseconds)}; }

TarTime atime_of(const TarEntry& entry) { return entry.atime.value_or(entry.mtime); }

Error at_entry(int err, std::string_view doing, const std::string& path) {
    return os_error(err, std::string{doing} + " '" + printable(path) + "'");
}

bool is_no_folder(int err) { return err == ENOENT || err == ENOTDIR || err == ELOOP; }

bool is_whiteout(const struct stat& st) { return S_ISCHR(st.st_mode) && st.st_rdev == 0; }

} // namespace

/// All of `path` that is not there yet, as folders. They are debts: whose they are a lower layer may say.
Result<UniqueFd> TreeWriter::make_folders(const std::string& path) {
    UniqueFd parent;
    for (std::size_t end = 0; end != std::string::npos;) {
        end = path.find('/', end == 0 ? 0 : end + 1);
        const std::string prefix = path.substr(0, end);
        UniqueFd next{rooted::open_raw(root_, prefix.c_str(), O_RDONLY | O_DIRECTORY)};
        if (!next && errno == ENOENT) {
            const std::string name = prefix.substr(prefix.rfind('/') + 1);
            const int in = parent ? parent.get() : root_;
            TRY_VOID(count_.add_implied(prefix));
            if (::mkdirat(in, name.c_str(), 0755) < 0)
                return fail(errno == EEXIST ? bad_input("'" + printable(path) + "' leads through a symbolic link to " +
                                                        "what this layer does not hold")
                                            : at_entry(errno, "cannot make the folder", prefix));
            next = UniqueFd{rooted::open_raw(root_, prefix.c_str(), O_RDONLY | O_DIRECTORY)};
            debts_.implied_folders.push_back(prefix);
        } else if (!next && errno == ENOTDIR) {
            // A whiteout, and something new below it: a folder that hides the old one.
            struct stat st {};
            const std::string name = prefix.substr(prefix.rfind('/') + 1);
            const int in = parent ? parent.get() : root_;
            if (::fstatat(in, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) < 0 || !is_whiteout(st))
                return fail(at_entry(ENOTDIR, "cannot go through", prefix));
            if (::unlinkat(in, name.c_str(), 0) < 0 || ::mkdirat(in, name.c_str(), 0755) < 0)
                return fail(at_entry(errno, "cannot make the folder", prefix));
            next = UniqueFd{rooted::open_raw(root_, prefix.c_str(), O_RDONLY | O_DIRECTORY)};
            if (next)
                TRY_VOID(make_opaque(next.get()));
            times_.push_back({prefix, {}, {}}); // nobody says it
        }
        if (!next)
            return fail(at_entry(errno, "cannot open the folder", prefix));
        parent = std::move(next);
    }
    return parent;
}

/// The folder `path`, made if need be; it stays open, since the next entry is mostly in it too.
Result<int> TreeWriter::open_folder(const std::string& path) {
    if (path.empty())
        return root_;
    if (open_folder_ && open_path_ == path)
        return open_folder_.get();
    UniqueFd folder{rooted::open_raw(root_, path.c_str(), O_RDONLY | O_DIRECTORY)};
    if (!folder)
        folder = TRY(make_folders(path));
    open_folder_ = std::move(folder);
    open_path_ = path;
    return open_folder_.get();
}

Result<TreeWriter::Place> TreeWriter::place_of(const std::string& path) {
    const std::string clean = TRY(clean_entry_path(path));
    const std::size_t slash = clean.rfind('/');
    Place place;
    place.folder_path = slash == std::string::npos ? "" : clean.substr(0, slash);
    place.name = slash == std::string::npos ? clean : clean.substr(slash + 1);
    if (!clean.empty())
        place.folder = TRY(open_folder(place.folder_path));
    return place;
}

Result<void> TreeWriter::make_opaque(int folder) {
    if (set_opaque(folder) < 0)
        return fail(os_error(errno, "cannot set user.overlay.opaque",
                             "the store's file system has no user attributes: put it on ext4, xfs or btrfs"));
    return {};
}

/// True if the entry was one: it says what is not there any more and is not itself a file.
Result<bool> TreeWriter::handle_whiteout(const Place& place) {
    const auto [kind, hidden] = TRY(whiteout_of(place.name, place.path()));
    if (kind == Whiteout::Kind::opaque)
        TRY_VOID(make_opaque(place.folder));
    if (kind != Whiteout::Kind::hidden)
        return kind != Whiteout::Kind::none;
    if (::mknodat(place.folder, hidden.c_str(), S_IFCHR, 0) == 0)
        return true;
    if (errno != EEXIST)
        return fail(at_entry(errno, "cannot make the whiteout of", hidden));
    // Whatever this layer itself has put there stays; a folder then hides the one below it.
    const UniqueFd there{::openat(place.folder, hidden.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (there)
        TRY_VOID(make_opaque(there.get()));
    return true;
}

/// Away with what has the name already: a later entry replaces an earlier one.
Result<void> TreeWriter::make_room(const Place& place, bool for_folder) {
    struct stat st {};
    if (::fstatat(place.folder, place.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? Result<void>{} : fail(at_entry(errno, "cannot look at", place.path()));
    if (for_folder && S_ISDIR(st.st_mode))
        return {};
    const std::string path = place.path();
    if (open_path_ == path || open_path_.starts_with(path + "/")) { // a folder or a link; `place` is in another one
        open_folder_ = UniqueFd{};
        open_path_.clear();
    }
    if (S_ISDIR(st.st_mode)) {
        std::erase_if(debts_.implied_folders,
                      [&](const std::string& one) { return one == path || one.starts_with(path + "/"); });
        std::erase_if(times_,
                      [&](const FolderTime& one) { return one.path == path || one.path.starts_with(path + "/"); });
    }
    if (is_whiteout(st) && for_folder)
        whiteouts_.insert(path);
    return remove_tree(place.folder, place.name);
}

Result<void> TreeWriter::set_folder(int folder, const TarEntry& entry) {
    if (::fchown(folder, entry.uid, entry.gid) < 0)
        return fail(at_entry(errno, "cannot set the owner of", entry.path));
    if (::fchmod(folder, entry.mode) < 0)
        return fail(at_entry(errno, "cannot set the mode of", entry.path));
    return set_xattrs(folder, entry);
}

Result<void> TreeWriter::add_root(const TarEntry& entry) {
    if (entry.type != TarEntry::Type::folder)
        return fail(bad_input("the root of the layer is not a folder"));
    times_.push_back({"", atime_of(entry), entry.mtime});
    debts_.implied_root = false;
    return set_folder(root_, entry);
}

Result<void> TreeWriter::add_folder(const TarEntry& entry, const Place& place) {
    TRY_VOID(make_room(place, true));
    const std::string path = place.path();
    if (::mkdirat(place.folder, place.name.c_str(), 0700) < 0 && errno != EEXIST)
        return fail(at_entry(errno, "cannot make the folder", path));
    const UniqueFd folder{::openat(place.folder, place.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (!folder)
        return fail(at_entry(errno, "cannot open the folder", path));
    if (whiteouts_.erase(path) > 0)
        TRY_VOID(make_opaque(folder.get()));
    if (!debts_.implied_folders.empty())
        std::erase(debts_.implied_folders, path);
    times_.push_back({path, atime_of(entry), entry.mtime});
    return set_folder(folder.get(), entry);
}

Result<void> TreeWriter::write_data(int file, const TarEntry& entry, TarReader& data) {
    TRY_VOID(check_size(entry, limits_));
    TRY_VOID(for_content(entry, data, [&](std::uint64_t offset, std::string_view part) -> Result<void> {
        while (!part.empty()) {
            const ssize_t n = ::pwrite(file, part.data(), part.size(), static_cast<off_t>(offset));
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                return fail(at_entry(errno, "cannot write", entry.path));
            offset += static_cast<std::uint64_t>(n);
            part.remove_prefix(static_cast<std::size_t>(n));
        }
        return {};
    }));
    if (entry.sparse && ::ftruncate(file, static_cast<off_t>(entry.size)) < 0)
        return fail(at_entry(errno, "cannot set the size of", entry.path));
    return {};
}

Result<void> TreeWriter::add_file(const TarEntry& entry, const Place& place, TarReader& data) {
    constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    UniqueFd file{::openat(place.folder, place.name.c_str(), flags, entry.mode & 0777)};
    if (!file && errno == EEXIST) {
        TRY_VOID(make_room(place, false));
        file = UniqueFd{::openat(place.folder, place.name.c_str(), flags, entry.mode & 0777)};
    }
    if (!file)
        return fail(at_entry(errno, "cannot make the file", place.path()));
    TRY_VOID(write_data(file.get(), entry, data));
    // For root's files too: in a folder with the set-group-ID bit a new file has the folder's group.
    if (::fchown(file.get(), entry.uid, entry.gid) < 0)
        return fail(at_entry(errno, "cannot set the owner of", entry.path));
    // After the owner, which takes these bits away.
    if ((entry.mode & 07000) != 0 && ::fchmod(file.get(), entry.mode) < 0)
        return fail(at_entry(errno, "cannot set the mode of", entry.path));
    TRY_VOID(set_xattrs(file.get(), entry));
    const timespec times[] = {to_timespec(atime_of(entry)), to_timespec(entry.mtime)};
    if (::futimens(file.get(), times) < 0)
        return fail(at_entry(errno, "cannot set the time of", entry.path));
    return {};
}

Result<void> TreeWriter::add_link(const TarEntry& entry, const Place& place) {
    const std::string target =
        TRY(clean_entry_path(entry.link).context("the target of '" + printable(entry.path) + "'"));
    if (target.empty() || target == place.path())
        return fail(bad_input("'" + printable(entry.path) + "' is a hard link to itself or to the root"));
    const std::size_t slash = target.rfind('/');
    const std::string name = target.substr(slash == std::string::npos ? 0 : slash + 1);
    const UniqueFd folder{rooted::open_raw(root_, slash == std::string::npos ? "/" : target.substr(0, slash).c_str(),
                                           O_PATH | O_DIRECTORY)};
    struct stat st {};
    if (!folder || ::fstatat(folder.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno != ENOENT)
            return fail(at_entry(errno, "cannot look at the target of", entry.path));
        TRY_VOID(make_room(place, false));
        debts_.lower_links.push_back({target, place.path(), entry.mtime});
        return {};
    }
    if (S_ISDIR(st.st_mode) || is_whiteout(st))
        return fail(bad_input("'" + printable(entry.path) + "' is a hard link to '" + printable(target) +
                              "', which is a folder or deleted"));
    TRY_VOID(make_room(place, false));
    if (::linkat(folder.get(), name.c_str(), place.folder, place.name.c_str(), 0) < 0)
        return fail(at_entry(errno, "cannot make the hard link", entry.path));
    return {};
}

/// Symbolic links, devices and FIFOs.
Result<void> TreeWriter::add_special(const TarEntry& entry, const Place& place) {
    using Type = TarEntry::Type;
    TRY_VOID(make_room(place, false));
    const char* const name = place.name.c_str();
    int made = -1;
    if (entry.type == Type::symlink) {
        made = entry.link.empty() ? (errno = EINVAL, -1) : ::symlinkat(entry.link.c_str(), place.folder, name);
    } else {
        const bool device = entry.type != Type::fifo;
        if (device && entry.major == 0 && entry.minor == 0)
            return fail(bad_input("'" + printable(entry.path) + "' is a device 0:0, which means a deleted file here"));
        const mode_t kind = entry.type == Type::character ? S_IFCHR : entry.type == Type::block ? S_IFBLK : S_IFIFO;
        made =
            ::mknodat(place.folder, name, kind | (entry.mode & 0777), device ? ::makedev(entry.major, entry.minor) : 0);
    }
    if (made < 0)
        return fail(at_entry(errno, "cannot make", entry.path));
    if (::fchownat(place.folder, name, entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) < 0)
        return fail(at_entry(errno, "cannot set the owner of", entry.path));
    if (entry.type != Type::symlink && ::fchmodat(place.folder, name, entry.mode, 0) < 0)
        return fail(at_entry(errno, "cannot set the mode of", entry.path));
    const timespec times[] = {to_timespec(atime_of(entry)), to_timespec(entry.mtime)};
    if (::utimensat(place.folder, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return fail(at_entry(errno, "cannot set the time of", entry.path));
    return {};
}

Result<void> TreeWriter::add(const TarEntry& entry, TarReader& data) {
    TRY_VOID(count_.add_entry());
    const Place place = TRY(place_of(entry.path));
    if (place.name.empty())
        return add_root(entry);
    if (TRY(handle_whiteout(place)))
        return {};
    switch (entry.type) {
    case TarEntry::Type::folder:
        return add_folder(entry, place);
    case TarEntry::Type::file:
        return add_file(entry, place, data);
    case TarEntry::Type::hard_link:
        return add_link(entry, place);
    default:
        return add_special(entry, place);
    }
}

Result<void> TreeWriter::finish() {
    for (const FolderTime& one : times_) {
        const UniqueFd folder{one.path.empty() ? ::fcntl(root_, F_DUPFD_CLOEXEC, 0)
                                               : rooted::open_raw(root_, one.path.c_str(), O_RDONLY | O_DIRECTORY)};
        if (!folder && is_no_folder(errno)) // it was named through a link, and replaced by its own name
            continue;
        const timespec times[] = {to_timespec(one.atime), to_timespec(one.mtime)};
        if (!folder || ::futimens(folder.get(), times) < 0)
            return fail(at_entry(errno, "cannot set the time of", one.path));
    }
    return {};
}

} // namespace ctrd::image

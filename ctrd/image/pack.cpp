#include "ctrd/image/pack.hpp"

#include "ctrd/base/fd.hpp"
#include "ctrd/image/chunk_queue.hpp"
#include "ctrd/image/xattrs.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <map>

namespace ctrd::image {
namespace {

constexpr std::uint64_t worth_a_map = 1U << 20; // holes of less are written as zeros

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

Error at_path(int err, std::string_view doing, const std::string& path) {
    return os_error(err, std::string{doing} + " '" + printable(path) + "'");
}

Result<std::vector<std::string>> sorted_names(int folder, const std::string& path) {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, CloseDir> dir{::fdopendir(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC))};
    if (!dir)
        return fail(at_path(errno, "cannot list", path));
    errno = 0;
    while (const dirent* entry = ::readdir(dir.get()))
        if (const std::string name = entry->d_name; name != "." && name != "..")
            names.push_back(name);
    if (errno != 0)
        return fail(at_path(errno, "cannot list", path));
    std::ranges::sort(names);
    return names;
}

class Packer {
public:
    Packer(Packing packing, TarWriter& to, const Owners& owners) : packing_{packing}, to_{to}, owners_{owners} {}

    Result<void> folder(int fd, const std::string& path) {
        struct stat st {};
        if (::fstat(fd, &st) < 0)
            return fail(at_path(errno, "cannot look at", path));
        TarEntry entry{.type = TarEntry::Type::folder, .path = path.empty() ? "./" : path};
        take_stat(entry, st);
        TRY_VOID(take_xattrs(entry, fd));
        TRY_VOID(to_.add(entry));
        if (packing_ == Packing::layer && is_opaque(fd) && !path.empty())
            TRY_VOID(add_text(to_, path + "/.wh..wh..opq", ""));
        for (const std::string& name : TRY(sorted_names(fd, path)))
            TRY_VOID(one(fd, name, path.empty() ? name : path + "/" + name));
        return {};
    }

private:
    void take_stat(TarEntry& entry, const struct stat& st) const {
        entry.mode = st.st_mode & 07777;
        entry.uid = owners_.uid(st.st_uid);
        entry.gid = owners_.gid(st.st_gid);
        entry.mtime = {st.st_mtim.tv_sec, static_cast<std::uint32_t>(st.st_mtim.tv_nsec)};
        entry.major = ::major(st.st_rdev);
        entry.minor = ::minor(st.st_rdev);
    }

    Result<void> take_xattrs(TarEntry& entry, int fd) const {
        entry.xattrs = TRY(read_xattrs(fd));
        owners_.translate(entry.xattrs);
        return {};
    }

    Result<void> one(int in, const std::string& name, const std::string& path) {
        if (path.size() >= PATH_MAX)
            return fail(bad_input("'" + printable(path.substr(0, 300)) + "...' is a path of more than 4095 bytes"));
        struct stat st {};
        if (::fstatat(in, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) < 0)
            return errno == ENOENT ? Result<void>{} : fail(at_path(errno, "cannot look at", path));
        if (S_ISSOCK(st.st_mode))
            return {};
        if (packing_ == Packing::layer && S_ISCHR(st.st_mode) && st.st_rdev == 0)
            return whiteout(name, path);
        if (packing_ == Packing::layer && name.starts_with(".wh."))
            return fail(bad_input("'" + printable(path) +
                                      "' can't be in a layer, where such a name says that a file was "
                                      "deleted",
                                  "give it another name in the container, or take the whole tree: ctrctl export"));
        if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
            return special(in, name, path, st);
        const UniqueFd fd{::openat(in, name.c_str(),
                                   O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC |
                                       (S_ISDIR(st.st_mode) ? O_DIRECTORY : 0))};
        // It may be another file by now: what is open counts.
        if (!fd || ::fstat(fd.get(), &st) < 0)
            return errno == ENOENT || errno == ELOOP || errno == ENOTDIR ? Result<void>{}
                                                                         : fail(at_path(errno, "cannot open", path));
        if (S_ISDIR(st.st_mode))
            return folder(fd.get(), path);
        return S_ISREG(st.st_mode) ? file(fd.get(), path, st) : Result<void>{};
    }

    Result<void> whiteout(const std::string& name, const std::string& path) {
        return add_text(to_, path.substr(0, path.size() - name.size()) + ".wh." + name, "");
    }

    /// True: it is another name of what has been written already.
    Result<bool> is_link(TarEntry& entry, const struct stat& st) {
        if (st.st_nlink < 2)
            return false;
        const auto [first, is_new] = links_.try_emplace({st.st_dev, st.st_ino}, entry.path);
        if (is_new)
            return false;
        entry.type = TarEntry::Type::hard_link;
        entry.link = first->second;
        entry.xattrs.clear();
        TRY_VOID(to_.add(entry));
        return true;
    }

    Result<void> special(int in, const std::string& name, const std::string& path, const struct stat& st) {
        using Type = TarEntry::Type;
        TarEntry entry{.type = S_ISLNK(st.st_mode)   ? Type::symlink
                               : S_ISCHR(st.st_mode) ? Type::character
                               : S_ISBLK(st.st_mode) ? Type::block
                                                     : Type::fifo,
                       .path = path};
        take_stat(entry, st);
        if (entry.type == Type::symlink) {
            char target[PATH_MAX];
            const ssize_t length = ::readlinkat(in, name.c_str(), target, sizeof target);
            if (length < 0)
                return errno == ENOENT || errno == EINVAL ? Result<void>{}
                                                          : fail(at_path(errno, "cannot read the link", path));
            entry.link.assign(target, static_cast<std::size_t>(length));
        }
        return TRY(is_link(entry, st)) ? Result<void>{} : to_.add(entry);
    }

    Result<void> file(int fd, const std::string& path, const struct stat& st) {
        TarEntry entry{.type = TarEntry::Type::file, .path = path};
        take_stat(entry, st);
        entry.size = static_cast<std::uint64_t>(st.st_size);
        if (TRY(is_link(entry, st)))
            return {};
        TRY_VOID(take_xattrs(entry, fd));
        find_holes(fd, entry);
        TRY_VOID(to_.add(entry));
        if (!entry.sparse)
            return copy(fd, path, 0, entry.size);
        for (const SparseSegment& segment : entry.segments)
            TRY_VOID(copy(fd, path, segment.offset, segment.length));
        return to_.fill();
    }

    /// Where the file system says what is data.
    static void find_holes(int fd, TarEntry& entry) {
        const auto size = static_cast<off_t>(entry.size);
        std::vector<SparseSegment> segments;
        std::uint64_t data = 0;
        for (off_t at = 0; at < size;) {
            const off_t begin = ::lseek(fd, at, SEEK_DATA);
            if (begin < 0 && errno != ENXIO)
                return;
            if (begin < 0 || begin >= size)
                break; // a hole up to the end
            const off_t end = std::min(::lseek(fd, begin, SEEK_HOLE), size);
            if (end <= begin || segments.size() >= 100'000)
                return;
            segments.push_back({static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end - begin)});
            data += segments.back().length;
            at = end;
        }
        if (entry.size - data < worth_a_map)
            return;
        entry.sparse = true;
        entry.segments = std::move(segments);
    }

    Result<void> copy(int fd, const std::string& path, std::uint64_t offset, std::uint64_t length) {
        for (std::uint64_t done = 0; done < length;) {
            const ssize_t n = ::pread(fd, buffer_.data(), std::min<std::uint64_t>(buffer_.size(), length - done),
                                      static_cast<off_t>(offset + done));
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                return fail(at_path(errno, "cannot read", path));
            if (n == 0)
                return zeros(length - done); // it has become shorter
            TRY_VOID(to_.data({buffer_.data(), static_cast<std::size_t>(n)}));
            done += static_cast<std::uint64_t>(n);
        }
        return {};
    }

    Result<void> zeros(std::uint64_t size) {
        std::fill(buffer_.begin(), buffer_.end(), '\0');
        while (size > 0) {
            const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(size, buffer_.size()));
            TRY_VOID(to_.data({buffer_.data(), part}));
            size -= part;
        }
        return {};
    }

    Packing packing_;
    TarWriter& to_;
    const Owners& owners_;
    std::map<std::pair<dev_t, ino_t>, std::string> links_{};
    std::string buffer_ = std::string(chunk_size, '\0');
};

} // namespace

Result<void> pack(int folder, Packing packing, TarWriter& to, const Owners& owners) {
    TRY_VOID(Packer(packing, to, owners).folder(folder, ""));
    return to.finish();
}

} // namespace ctrd::image

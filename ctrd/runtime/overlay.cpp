#include "ctrd/runtime/overlay.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/erofs/mount.hpp"
#include "ctrd/runtime/mount_api.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace ctrd::runtime {
namespace {

constexpr int folder_flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

/// mount(2) takes one page of options: too little for the names of a hundred layers, but not for the numbers of
/// descriptors, which are names in /proc/self/fd. This, unlike fsconfig(2)'s lowerdir+, every kernel can.
class Options {
public:
    void add(const char* text) noexcept { add(text, std::strlen(text)); }
    void add_number(int number) noexcept {
        char digits[16];
        const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
        add(digits, static_cast<std::size_t>(end - digits));
    }
    [[nodiscard]] const char* text() const noexcept { return text_.data(); }
    [[nodiscard]] bool overflown() const noexcept { return overflown_; }

private:
    void add(const char* text, std::size_t size) noexcept {
        overflown_ = overflown_ || used_ + size >= text_.size();
        if (overflown_)
            return;
        std::memcpy(text_.data() + used_, text, size);
        used_ += size;
    }
    std::array<char, 4096> text_{};
    std::size_t used_{0};
    bool overflown_{false};
};

/// Descriptors that are closed together, with errno as it was; they may be very many.
class Folders {
public:
    Folders() = default;
    Folders(const Folders&) = delete;
    Folders& operator=(const Folders&) = delete;
    ~Folders() {
        const int err = errno;
        while (count_ > 0)
            ::close(fds_[--count_]);
        errno = err;
    }
    /// The descriptor, which is closed with the others, or -1.
    int keep(int fd) noexcept {
        if (fd >= 0 && count_ == fds_.size()) {
            ::close(fd);
            errno = EMFILE;
            return -1;
        }
        if (fd >= 0)
            fds_[count_++] = fd;
        return fd;
    }

private:
    std::array<int, max_layers + 8> fds_{};
    std::size_t count_{0};
};

/// The merged root has the attributes of the upper folder: they are to be those of the image's own, from the moment on
/// at which the folder has its name.
int make_upper(int folder, int lower) noexcept {
    struct stat st {};
    if (::fstat(lower, &st) < 0 || (::mkdirat(folder, "work", 0700) < 0 && errno != EEXIST) ||
        (::mkdirat(folder, "new", 0700) < 0 && errno != EEXIST) ||
        ::fchownat(folder, "new", st.st_uid, st.st_gid, 0) < 0 || ::fchmodat(folder, "new", st.st_mode & 07777, 0) < 0)
        return -1;
    return ::renameat(folder, "new", folder, "upper");
}

/// A tmpfs on `place`, which overlayfs can't use before it is attached.
int make_fleeting_changes(int place, int lower) noexcept {
    static const std::vector<plan::FsOption> no_options;
    static const plan::MountAttributes no_attributes;
    const int tmpfs = make_fs("tmpfs", "tmpfs", no_options, no_attributes);
    if (tmpfs < 0 || (make_upper(tmpfs, lower) == 0 && attach(tmpfs, place) == 0))
        return tmpfs;
    const int err = errno;
    ::close(tmpfs);
    errno = err;
    return -1;
}

/// Overlayfs takes only folders that can be reached in its own namespace. "/" can be by everybody; the mount hides
/// there what is below it until the stack is made.
int open_store(const plan::Stack& stack, int mapped) noexcept {
    if (mapped < 0)
        return ::open(stack.store.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (::move_mount(mapped, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS) < 0)
        return -1;
    return ::fcntl(mapped, F_DUPFD_CLOEXEC, 3);
}

/// Names in /proc/self/fd, which is where we are. `store` has a mount to be taken off again if it is `mapped`.
int mount_stack(const Options& options, int store, int place, bool mapped) noexcept {
    char name[16];
    const auto named = [&name](int fd) {
        *std::to_chars(name, name + sizeof name, fd).ptr = '\0';
        return name;
    };
    if (::mount("overlay", named(place), "overlay", 0, options.text()) < 0)
        return -1;
    const UniqueFd root{::openat(store, "containers", folder_flags)}; // what is mounted on it
    const int tree = root ? clone_mount(root.get(), false) : -1;
    if (mapped && ::umount2(named(store), MNT_DETACH) < 0)
        return -1;
    return tree;
}

std::string layer_path(const plan::Stack& stack, const std::string& layer) { return stack.store + "/layers/" + layer; }

/// A layer's root, whatever its form.
Result<UniqueFd> open_root(const std::string& path) {
    auto folder = open_at(AT_FDCWD, path, folder_flags);
    if (folder || folder.error().code != std::errc::not_a_directory)
        return folder;
    const UniqueFd file = TRY(open_at(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW));
    return erofs::mount(file.get()).context("'" + path + "'");
}

/// The folder of the changes, from the store's on; check_stack() has seen that it is there.
const char* below_store(const plan::Stack& stack) noexcept { return stack.changes.c_str() + stack.store.size() + 1; }

} // namespace

Result<void> make_changes(const plan::Stack& stack) {
    if (stack.changes.empty() || stack.layers.empty() ||
        ::faccessat(AT_FDCWD, (stack.changes + "/upper").c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return {};
    const auto slash = stack.changes.rfind('/');
    TRY_VOID(make_dirs(stack.changes.substr(0, slash), 0700));
    TRY_VOID(make_dirs(stack.changes, 0700));
    const UniqueFd folder = TRY(open_at(AT_FDCWD, stack.changes, O_RDONLY | O_DIRECTORY));
    const UniqueFd lower = TRY(open_root(layer_path(stack, stack.layers.front())));
    if (make_upper(folder.get(), lower.get()) < 0)
        return fail(os_error(errno, "cannot make a place for changes in '" + stack.changes + "'"));
    return {};
}

Result<void> check_stack(const plan::Stack& stack) {
    const auto want = [](const std::string& path, bool or_file = false) -> Result<void> {
        struct stat st {};
        if (::lstat(path.c_str(), &st) < 0)
            return fail(os_error(errno, "'" + path + "'"));
        return S_ISDIR(st.st_mode) || (or_file && S_ISREG(st.st_mode)) ? Result<void>{}
                                                                       : fail(os_error(ENOTDIR, "'" + path + "'"));
    };
    if (stack.layers.empty() || stack.layers.size() > max_layers)
        return fail(bad_input("it has " + std::to_string(stack.layers.size()) + " layers, and overlayfs takes 1 to " +
                              std::to_string(max_layers)));
    for (const std::string& layer : stack.layers)
        if (auto there = want(layer_path(stack, layer), true); !there) {
            there.error().hint = "the image store was changed by hand, or is damaged: load or pull the image again";
            return there;
        }
    if (!stack.changes.empty() && !stack.changes.starts_with(stack.store + "/"))
        return fail(bad_input("'" + stack.changes + "' is not in the image store '" + stack.store + "'"));
    for (const char* part : {"/upper", "/work"})
        if (!stack.changes.empty())
            TRY_VOID(want(stack.changes + part));
    return {};
}

Result<std::vector<UniqueFd>> mount_layers(const plan::Stack& stack, const std::optional<plan::IdMap>& ids,
                                           MappedNamespaces& namespaces) {
    std::vector<UniqueFd> mounts;
    for (const std::string& layer : stack.layers) {
        const std::string path = layer_path(stack, layer);
        struct stat st {};
        const bool is_file = ::lstat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode);
        mounts.push_back(is_file ? TRY(open_root(path)) : UniqueFd{});
        if (is_file && ids)
            TRY_VOID(map_ids(mounts.back().get(), *ids, namespaces).context("'" + path + "'"));
    }
    return mounts;
}

int stack_layers(const plan::Stack& stack, int mapped, std::span<const UniqueFd> mounts) noexcept {
    Folders folders;
    Options options;
    const int store = folders.keep(open_store(stack, mapped));
    const int place = store < 0 ? -1 : folders.keep(::openat(store, "containers", folder_flags));
    const int layers = place < 0 ? -1 : folders.keep(::openat(store, "layers", folder_flags));
    // Below `place`, on which there will be something else.
    int changes = stack.changes.empty() ? -1 : folders.keep(::openat(store, below_store(stack), folder_flags));
    if (layers < 0 || (changes < 0 && !stack.changes.empty()))
        return -1;
    // Attributes are user.overlay.*: what trusted.* a hostile layer brings means nothing. Without an index the upper
    // folder does not remember which inodes were below it.
    options.add("userxattr,index=off,");
    // Of several file systems files would have the numbers of all of these.
    if (std::ranges::any_of(mounts, &UniqueFd::operator bool))
        options.add("xino=on,");
    options.add("lowerdir=");
    int uppermost = -1;
    for (std::size_t i = 0; i < stack.layers.size(); ++i) {
        int layer = i < mounts.size() ? mounts[i].get() : -1;
        if (layer < 0)
            layer = folders.keep(::openat(layers, stack.layers[i].c_str(), folder_flags));
        else if (attach(layer, place) < 0) // for the time being: overlayfs has mounts of its own
            return -1;
        if (layer < 0)
            return -1;
        if (i == 0)
            uppermost = layer;
        else
            options.add(":");
        options.add_number(layer);
    }
    if (stack.changes.empty())
        changes = folders.keep(make_fleeting_changes(place, uppermost));
    const int upper = changes < 0 ? -1 : folders.keep(::openat(changes, "upper", folder_flags));
    const int work = changes < 0 ? -1 : folders.keep(::openat(changes, "work", folder_flags));
    if (upper < 0 || work < 0)
        return -1;
    options.add(",upperdir=");
    options.add_number(upper);
    options.add(",workdir=");
    options.add_number(work);
    if (stack.fleeting)
        options.add(",volatile");
    if (options.overflown()) {
        errno = E2BIG;
        return -1;
    }
    if (::chdir("/proc/self/fd") < 0)
        return -1;
    const int tree = mount_stack(options, store, place, mapped >= 0);
    return ::chdir("/") < 0 ? -1 : tree;
}

} // namespace ctrd::runtime

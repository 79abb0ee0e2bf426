#include "ctrd/base/rooted.hpp"
#include "ctrd/runtime/child.hpp"
#include "ctrd/runtime/copy_up.hpp"
#include "ctrd/runtime/mount_api.hpp"
#include "ctrd/runtime/overlay.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <climits>
#include <cstring>

namespace ctrd::runtime {
namespace {

const std::vector<plan::FsOption> no_options;

/// Where a symbolic link in the image would put the kernel's own file systems or devices somewhere unexpected, none
/// is followed: the start is refused with ELOOP.
std::uint64_t strictness(const char* path) noexcept {
    for (const char* place : {"/proc", "/sys", "/dev"}) {
        const std::size_t length = std::strlen(place);
        if (std::strncmp(path, place, length) == 0 && (path[length] == '\0' || path[length] == '/'))
            return RESOLVE_NO_SYMLINKS;
    }
    return 0;
}

int mount_point(const ChildContext& context, const char* path, bool is_folder) noexcept {
    return is_folder ? rooted::make_dirs_raw(context.root, path, 0755, strictness(path))
                     : rooted::make_file_raw(context.root, path, 0644, strictness(path));
}

/// Attaches and closes both; 0 or an errno.
int attach_and_close(int tree, int target) noexcept {
    int err = 0;
    if (tree < 0 || target < 0 || attach(tree, target) < 0)
        err = errno;
    if (tree >= 0)
        ::close(tree);
    if (target >= 0)
        ::close(target);
    return err;
}

/// What the parent has cloned, or else a clone of our own.
int take_tree(const Source& source, const char* path, bool recursive,
              const plan::MountAttributes* attributes) noexcept {
    if (source.tree)
        return source.tree.get();
    const unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0U);
    const int tree = ::open_tree(AT_FDCWD, path, flags);
    return tree >= 0 && attributes != nullptr && set_mount_attributes(tree, *attributes) < 0 ? -1 : tree;
}

int attach_at(const ChildContext& context, int tree, const char* path, bool is_folder) noexcept {
    if (tree < 0)
        return errno;
    const int target = mount_point(context, path, is_folder);
    if (target < 0)
        return errno;
    const int err = attach(tree, target) < 0 ? errno : 0;
    ::close(target);
    return err;
}

/// The host's /dev/null as a detached mount: the steps run before the pivot, so this path is the host's and not the
/// image's. Checked all the same.
int clone_null_device() noexcept {
    const int tree = ::open_tree(AT_FDCWD, "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    struct stat st {};
    if (tree >= 0 && (::fstat(tree, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))) {
        ::close(tree);
        errno = ENODEV;
        return -1;
    }
    return tree;
}

/// One empty read-only tmpfs serves all masked folders: the first is attached, the others are clones of it.
int empty_folder(ChildContext& context) noexcept {
    if (context.mask_tmpfs >= 0)
        return clone_mount(context.mask_tmpfs, false);
    static const plan::MountAttributes read_only{MOUNT_ATTR_RDONLY, 0, 0, 0, {}};
    const int tree = make_fs("tmpfs", "tmpfs", no_options, read_only);
    context.mask_tmpfs = ::fcntl(tree, F_DUPFD_CLOEXEC, 3);
    return tree;
}

/// What an existing path in the rootfs is; -1 with ENOENT or ENOTDIR: it does not exist.
int open_existing(const ChildContext& context, const char* path) noexcept {
    return rooted::open_raw(context.root, path, O_PATH);
}

bool has_mode(const std::vector<plan::FsOption>& options) noexcept {
    for (const auto& option : options)
        if (option.key == "mode")
            return true;
    return false;
}

constexpr int no_mode = -1;

/// A tmpfs that is not told its mode gets that of the folder that it hides, as with runc and crun.
int mode_to_inherit(const ChildContext& context, const plan::MountFs& step) noexcept {
    if (step.type != "tmpfs" || step.copy_up || has_mode(step.options))
        return no_mode;
    const int hidden = open_existing(context, step.destination.c_str());
    struct stat st {};
    const bool found = hidden >= 0 && ::fstat(hidden, &st) == 0 && S_ISDIR(st.st_mode);
    if (hidden >= 0)
        ::close(hidden);
    return found ? static_cast<int>(st.st_mode & 07777) : no_mode;
}

bool is_absent(int err) noexcept { return err == ENOENT || err == ENOTDIR; }

void forget_node_folder(ChildContext& context) noexcept {
    if (context.node_folder >= 0)
        ::close(context.node_folder);
    context.node_folder = -1;
}

struct Apply {
    ChildContext& context;
    const Source& source;

    int operator()(const plan::RaiseLoopback&) const noexcept {
        const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            return errno;
        ifreq request{};
        std::memcpy(request.ifr_name, "lo", sizeof "lo");
        request.ifr_flags = IFF_UP;
        const int err = ::ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? errno : 0;
        ::close(fd);
        return err;
    }

    int operator()(const plan::SetPropagation& step) const noexcept {
        return ::mount(nullptr, "/", nullptr, step.flags, nullptr) < 0 ? errno : 0;
    }

    /// Attached on top of "/": the one folder that exists everywhere and that a mapped root may always pass through.
    /// Paths below are relative to the descriptor, the host's own paths still begin at the old root underneath.
    int operator()(const plan::AttachRootfs& step) const noexcept {
        context.root = take_tree(source, step.host_path.c_str(), true, nullptr);
        if (context.root < 0 || (!source.tree && set_propagation(context.root, step.propagation | MS_REC) < 0))
            return errno;
        return attach_root(step.in_place ? step.host_path.c_str() : "/");
    }

    int operator()(const plan::StackRootfs& step) const noexcept {
        context.root = stack_layers(step.stack, source.tree ? source.tree.get() : -1, source.layers);
        if (context.root < 0 || set_propagation(context.root, step.propagation | MS_REC) < 0)
            return errno;
        return attach_root("/");
    }

    int operator()(const plan::MountFs& step) const noexcept {
        const int tree = make_fs(step.type.c_str(), step.source.c_str(), step.options, step.attributes,
                                 mode_to_inherit(context, step));
        if (tree < 0)
            return errno;
        const int target = mount_point(context, step.destination.c_str(), true);
        if (target >= 0 && step.copy_up)
            if (const int err = copy_up(target, tree, !has_mode(step.options)); err != 0) {
                ::close(tree);
                ::close(target);
                return err;
            }
        return attach_and_close(tree, target);
    }

    int operator()(const plan::Remount& step) const noexcept {
        const int target = open_existing(context, step.destination.c_str());
        if (target < 0)
            return errno;
        const int err = set_mount_attributes(target, step.attributes) < 0 ? errno : 0;
        ::close(target);
        return err;
    }

    int operator()(const plan::BindMount& step) const noexcept {
        if (!step.inside.empty())
            return bind_from_inside(step);
        const int err =
            attach_at(context, take_tree(source, step.host_source.c_str(), step.recursive, &step.attributes),
                      step.destination.c_str(), source.is_folder);
        return step.optional ? 0 : err;
    }

    int operator()(const plan::KeepOutHostBus& step) const noexcept {
        struct stat hosts {};
        struct stat inside {};
        const int found = open_existing(context, step.path.c_str());
        if (found < 0)
            return is_absent(errno) || errno == ELOOP ? 0 : errno;
        const bool both = ::fstat(found, &inside) == 0 && ::stat(step.host_path.c_str(), &hosts) == 0;
        ::close(found);
        return both && hosts.st_dev == inside.st_dev && hosts.st_ino == inside.st_ino ? EPERM : 0;
    }

    int operator()(const plan::BindCgroup& step) const noexcept {
        const char* cgroup = context.prepared->cgroup.c_str();
        return attach_at(context, take_tree(source, cgroup, false, &step.attributes), step.destination.c_str(), true);
    }

    int operator()(const plan::MakeDevice& step) const noexcept {
        const char* name = nullptr;
        const int folder = open_parent(step.path.c_str(), &name);
        if (folder < 0)
            return errno;
        const mode_t type = step.type == 'c' ? S_IFCHR : step.type == 'b' ? S_IFBLK : S_IFIFO;
        int err = ::mknodat(folder, name, type | step.mode, makedev(step.major, step.minor)) < 0 ? errno : 0;
        if (err == EPERM) // root of a user namespace
            return bind_device(step, folder, name, makedev(step.major, step.minor));
        if (err == EEXIST)
            err = is_device(folder, name, type, makedev(step.major, step.minor)) ? 0 : EEXIST;
        else if (err == 0 && (step.uid != 0 || step.gid != 0) &&
                 ::fchownat(folder, name, step.uid, step.gid, AT_SYMLINK_NOFOLLOW) < 0)
            err = errno;
        return err;
    }

    int operator()(const plan::MakeSymlink& step) const noexcept {
        const char* name = nullptr;
        const int folder = open_parent(step.path.c_str(), &name);
        if (folder < 0)
            return errno;
        const int err = ::symlinkat(step.target.c_str(), folder, name) < 0 ? errno : 0;
        return err == EEXIST ? 0 : err; // an image may bring its own, and only harms itself
    }

    int operator()(const plan::AttachTerminal& step) const noexcept {
        if (const int err = open_terminal(context, step.size); err != 0)
            return err;
        return attach_and_close(clone_mount(context.terminal, false), mount_point(context, "/dev/console", false));
    }

    int operator()(const plan::AwaitRuntimeHooks&) const noexcept {
        if (!report(context, Stage::runtime_hooks, 0, 0))
            ::_exit(1);
        wait_for(context, Stage::go_on);
        return 0;
    }

    int operator()(const plan::RunContainerHooks&) const noexcept {
        const auto& hooks = context.prepared->container_hooks;
        for (std::uint32_t i = 0; i < hooks.size(); ++i)
            if (const int result = run_prepared_hook(hooks[i], context.creating_state); result != 0)
                give_up_early(context, Stage::create_hook_failed, i, result);
        return 0;
    }

    int operator()(const plan::MaskPath& step) const noexcept {
        const int target = open_existing(context, step.path.c_str());
        if (target < 0)
            return is_absent(errno) ? 0 : errno;
        struct stat st {};
        if (::fstat(target, &st) < 0)
            return errno;
        return attach_and_close(S_ISDIR(st.st_mode) ? empty_folder(context) : clone_null_device(), target);
    }

    int operator()(const plan::ReadonlyPath& step) const noexcept {
        const int target = open_existing(context, step.path.c_str());
        if (target < 0)
            return is_absent(errno) ? 0 : errno;
        const int tree = clone_mount(target, true);
        if (tree >= 0 && make_read_only(tree, true) < 0)
            return errno;
        return attach_and_close(tree, target);
    }

    int operator()(const plan::MakeFolder& step) const noexcept {
        const int folder = rooted::make_dirs_raw(context.root, step.path.c_str(), 0755);
        if (folder >= 0)
            ::close(folder);
        return 0;
    }

    int operator()(const plan::ReadonlyRoot&) const noexcept {
        return make_read_only(context.root, false) < 0 ? errno : 0;
    }

    int operator()(const plan::SetHostname& step) const noexcept {
        return ::sethostname(step.name.data(), step.name.size()) < 0 ? errno : 0;
    }

    int operator()(const plan::SetDomainname& step) const noexcept {
        return ::setdomainname(step.name.data(), step.name.size()) < 0 ? errno : 0;
    }

    int operator()(const plan::WriteSysctl& step) const noexcept {
        char path[PATH_MAX] = "sys/";
        if (step.path.size() >= sizeof path - 4)
            return ENAMETOOLONG;
        std::memcpy(path + 4, step.path.data(), step.path.size());
        return write_proc(path, step.value.data(), step.value.size());
    }

    /// pivot_root(".", "."): the old root lands on top of the new one and is unmounted from there.
    int operator()(const plan::PivotRoot& step) const noexcept {
        if (step.chroot_only)
            return change_root(step.in_place);
        if (::fchdir(context.root) < 0 || ::syscall(SYS_pivot_root, ".", ".") < 0 || ::umount2(".", MNT_DETACH) < 0 ||
            ::chdir("/") < 0)
            return errno;
        return 0;
    }

private:
    int bind_from_inside(const plan::BindMount& step) const noexcept {
        const int found = open_existing(context, step.inside.c_str());
        struct stat st {};
        if (found < 0 || ::fstat(found, &st) < 0)
            return errno;
        int tree = clone_mount(found, step.recursive);
        ::close(found);
        if (tree >= 0 && set_mount_attributes(tree, step.attributes) < 0)
            return errno;
        return attach_at(context, tree, step.destination.c_str(), S_ISDIR(st.st_mode));
    }

    int attach_root(const char* place) const noexcept {
        const unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS;
        return ::move_mount(context.root, "", AT_FDCWD, place, flags) < 0 ? errno : 0;
    }

    /// The kernel lets a payload mount a procfs of its own, in a user namespace of its own, while it finds one in its
    /// mount namespace that nothing covers: the container's are masked, and the host's must not be left to be found.
    int take_away_kernel_mounts() const noexcept {
        const auto& places = context.prepared->kernel_mounts;
        for (auto place = places.rbegin(); place != places.rend(); ++place) {
            if (::umount2(place->c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || is_absent(errno))
                continue; // absent: gone with the one that it was in
            // In a user namespace it can't be taken away, but covered.
            const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
            if (::mount("tmpfs", place->c_str(), "tmpfs", flags, nullptr) < 0 && !is_absent(errno))
                return errno;
        }
        return 0;
    }

    /// What is on top of "/" is the root of whoever enters the namespace later, too.
    int change_root(bool in_place) const noexcept {
        // "/" is still the host's: what is on top of it is not crossed on the way to its own folders.
        if (const int err = take_away_kernel_mounts(); err != 0)
            return err;
        if (in_place && ::move_mount(context.root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
            return errno;
        return ::fchdir(context.root) < 0 || ::chroot(".") < 0 || ::chdir("/") < 0 ? errno : 0;
    }

    /// The folder of `path` (made if need be) and its last component. The descriptor is the context's.
    int open_parent(const char* path, const char** name) const noexcept {
        const char* slash = std::strrchr(path, '/');
        char folder[PATH_MAX];
        const auto length = static_cast<std::size_t>(slash - path);
        if (length >= sizeof folder || slash[1] == '\0') {
            errno = EINVAL;
            return -1;
        }
        std::memcpy(folder, path, length);
        folder[length] = '\0';
        *name = slash + 1;
        if (context.node_folder >= 0 && std::strcmp(folder, context.node_folder_path) == 0)
            return context.node_folder;
        forget_node_folder(context);
        const int fd = rooted::make_dirs_raw(context.root, length == 0 ? "/" : folder, 0755, strictness(folder));
        if (fd >= 0 && length < sizeof context.node_folder_path) {
            context.node_folder = fd;
            std::memcpy(context.node_folder_path, folder, length + 1);
        }
        return fd;
    }

    /// The host's own of that name, checked to be the one that is meant.
    int bind_device(const plan::MakeDevice& step, int folder, const char* name, dev_t number) const noexcept {
        const int tree = ::open_tree(AT_FDCWD, step.path.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        struct stat st {};
        if (tree < 0 || ::fstat(tree, &st) < 0 || (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode)) ||
            st.st_rdev != number) {
            if (tree >= 0)
                ::close(tree);
            return EPERM;
        }
        const int made = ::openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (made < 0 && errno != EEXIST) {
            const int err = errno;
            ::close(tree);
            return err;
        }
        if (made >= 0)
            ::close(made);
        return attach_and_close(tree, ::openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    }

    static bool is_device(int folder, const char* name, mode_t type, dev_t number) noexcept {
        struct stat st {};
        return ::fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (st.st_mode & S_IFMT) == type &&
               (type == S_IFIFO || st.st_rdev == number);
    }
};

} // namespace

int apply_step(ChildContext& context, const plan::Step& step, const Source& source) noexcept {
    // A mount may be put over it.
    if (!std::holds_alternative<plan::MakeDevice>(step) && !std::holds_alternative<plan::MakeSymlink>(step))
        forget_node_folder(context);
    return std::visit(Apply{context, source}, step);
}

} // namespace ctrd::runtime

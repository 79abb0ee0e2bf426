#include "tools/ctr-image/sandbox.hpp"

#include "ctrd/base/file.hpp"

#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>

namespace ctrd::imaging {
namespace {

constexpr std::array kept_capabilities{CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP};

/// A mount of the folder that `fd` shows and of nothing above it: ".." ends there.
Result<UniqueFd> mount_of(int fd, std::uint64_t attributes) {
    UniqueFd tree{::open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH)};
    mount_attr attr{};
    attr.attr_set = attributes | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    attr.propagation = MS_PRIVATE;
    if (!tree || ::mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
        return fail(os_error(errno, "cannot make a mount for the worker"));
    return tree;
}

/// A descriptor with O_PATH can't be read; the mount's own root can be opened again.
Result<UniqueFd> as_mount(int fd, std::uint64_t attributes) {
    const UniqueFd tree = TRY(mount_of(fd, attributes));
    return open_at(tree.get(), ".", O_RDONLY | O_DIRECTORY);
}

/// `tree`: the store's, made before the mount namespace was left: a descriptor of another one's can't be cloned.
Result<UniqueFd> enter_store(const UniqueFd& tree) {
    if (::move_mount(tree.get(), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 || ::fchdir(tree.get()) < 0 ||
        ::syscall(SYS_pivot_root, ".", ".") < 0 || ::umount2(".", MNT_DETACH) < 0 || ::chdir("/") < 0)
        return fail(os_error(errno, "cannot make the image store the worker's root"));
    return open_at(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY);
}

Result<void> drop_capabilities() {
    constexpr unsigned long no_root = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                      SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                      SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    for (int cap = 0; ::prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; ++cap)
        if (::prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            return fail(os_error(errno, "cannot drop a capability"));
    if (::prctl(PR_SET_SECUREBITS, no_root, 0, 0, 0) < 0)
        return fail(os_error(errno, "cannot give up root's rights"));
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    for (const int cap : kept_capabilities) {
        auto& word = data[static_cast<unsigned>(cap) / 32];
        word.permitted |= 1U << (static_cast<unsigned>(cap) % 32);
        word.effective = word.permitted;
    }
    if (::syscall(SYS_capset, &header, data) < 0)
        return fail(os_error(errno, "cannot drop capabilities"));
    return {};
}

Result<void> allow_beneath(int ruleset, int folder, std::uint64_t access) {
    landlock_path_beneath_attr rule{};
    rule.allowed_access = access;
    rule.parent_fd = folder;
    if (::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return fail(os_error(errno, "cannot add a rule to Landlock"));
    return {};
}

/// A second wall behind the root, on kernels that have it switched on.
Result<void> add_landlock(int store, std::span<const UniqueFd> folders) {
    constexpr std::uint64_t reading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
    constexpr std::uint64_t everything =
        reading | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
        LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
        LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
    constexpr std::uint64_t refer = 1ULL << 13; // LANDLOCK_ACCESS_FS_REFER: links and renames between folders
    const long version = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1U /* LANDLOCK_CREATE_RULESET_VERSION */);
    if (version < 2) // without "refer" nothing could be moved into its place
        return {};
    landlock_ruleset_attr attr{};
    attr.handled_access_fs = everything | refer | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_SOCK;
    const UniqueFd ruleset{static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0))};
    if (!ruleset)
        return fail(os_error(errno, "cannot make a Landlock ruleset"));
    TRY_VOID(allow_beneath(ruleset.get(), store, everything | refer));
    for (const UniqueFd& folder : folders) {
        struct stat st {};
        if (::fstat(folder.get(), &st) == 0 && S_ISDIR(st.st_mode))
            TRY_VOID(allow_beneath(ruleset.get(), folder.get(), reading));
    }
    if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) < 0)
        return fail(os_error(errno, "cannot enter Landlock"));
    return {};
}

} // namespace

Result<Confined> confine(UniqueFd store, std::span<UniqueFd> inputs) {
    ::umask(0);
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    // A tree may be deeper than the usual limit of descriptors, and each level is held open while it is removed.
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &files);
    }
    const UniqueFd tree = TRY(mount_of(store.get(), 0));
    for (UniqueFd& input : inputs) {
        struct stat st {};
        if (::fstat(input.get(), &st) < 0)
            return fail(os_error(errno, "cannot look at an input"));
        if (S_ISDIR(st.st_mode))
            input = TRY(as_mount(input.get(), MOUNT_ATTR_RDONLY));
    }
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        ::unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0)
        return fail(os_error(errno, "cannot make namespaces for the worker", "it is run by ctrctl, as root"));
    Confined confined{TRY(enter_store(tree))};
    TRY_VOID(drop_capabilities());
    TRY_VOID(add_landlock(confined.store.get(), inputs));
    return confined;
}

} // namespace ctrd::imaging

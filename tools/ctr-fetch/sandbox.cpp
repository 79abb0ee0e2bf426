#include "tools/ctr-fetch/sandbox.hpp"

#include "ctrd/base/file.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace ctrd::fetching {
namespace {

constexpr const char* own_user = "ctrd-fetch";
constexpr uid_t nobody = 65534;

// What getaddrinfo, OpenSSL and the loader look at. What is not there is left out.
constexpr std::array seen{"/usr",
                          "/lib",
                          "/lib64",
                          "/etc/ssl",
                          "/etc/pki",
                          "/etc/ca-certificates",
                          "/etc/crypto-policies",
                          "/etc/resolv.conf",
                          "/etc/hosts",
                          "/etc/host.conf",
                          "/etc/nsswitch.conf",
                          "/etc/gai.conf",
                          "/etc/ld.so.cache",
                          "/run/systemd/resolve"};

struct Seen {
    std::string path{};
    UniqueFd tree{};
    bool is_folder{false};
};

/// Clones of what is to be seen, read-only; taken before the root changes.
Result<std::vector<Seen>> clone_seen() {
    std::vector<Seen> result;
    for (const char* path : seen) {
        struct stat st {};
        if (::stat(path, &st) < 0)
            continue;
        UniqueFd tree{::open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)};
        mount_attr attr{};
        attr.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
        attr.propagation = MS_PRIVATE;
        if (!tree || ::mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
            return fail(
                os_error(errno, std::string{"cannot make a mount of '"} + path + "' for the process that fetches"));
        result.push_back({path, std::move(tree), S_ISDIR(st.st_mode)});
    }
    return result;
}

Result<void> attach(const Seen& one) {
    const std::string path = one.path.substr(1); // below the new root, where we are
    for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1))
        ::mkdir(path.substr(0, slash).c_str(), 0755); // if it fails, so does what comes
    if (one.is_folder)
        ::mkdir(path.c_str(), 0755);
    else
        UniqueFd{::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)};
    if (::move_mount(one.tree.get(), "", AT_FDCWD, path.c_str(), MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return fail(os_error(errno, "cannot mount '" + one.path + "' for the process that fetches"));
    return {};
}

/// An empty root with what is to be seen in it; all of it read-only in the end.
Result<void> enter_own_root() {
    const std::vector<Seen> mounts = TRY(clone_seen());
    const UniqueFd context{::fsopen("tmpfs", FSOPEN_CLOEXEC)};
    if (!context || ::fsconfig(context.get(), FSCONFIG_SET_STRING, "mode", "0755", 0) < 0 ||
        ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) < 0)
        return fail(os_error(errno, "cannot make a root for the process that fetches"));
    const UniqueFd root{::fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)};
    if (!root || ::move_mount(root.get(), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 || ::fchdir(root.get()) < 0)
        return fail(os_error(errno, "cannot make a root for the process that fetches"));
    for (const Seen& one : mounts)
        TRY_VOID(attach(one));
    mount_attr attr{};
    attr.attr_set = MOUNT_ATTR_RDONLY;
    if (::syscall(SYS_pivot_root, ".", ".") < 0 || ::umount2(".", MNT_DETACH) < 0 || ::chdir("/") < 0 ||
        ::mount_setattr(AT_FDCWD, "/", 0, &attr, sizeof attr) < 0)
        return fail(os_error(errno, "cannot enter the root of the process that fetches"));
    return {};
}

struct User {
    uid_t uid{nobody};
    gid_t gid{nobody};
};

/// Its own user where the package has made one (sysusers.d); "nobody" does, too.
User user() {
    const passwd* entry = ::getpwnam(own_user);
    return entry == nullptr || entry->pw_uid == 0 ? User{} : User{entry->pw_uid, entry->pw_gid};
}

Result<void> become(const User& user) {
    constexpr unsigned long no_root = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                      SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    for (int cap = 0; ::prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; ++cap)
        if (::prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            return fail(os_error(errno, "cannot drop a capability"));
    // All capabilities go with root's user id: nothing keeps them.
    if (::prctl(PR_SET_SECUREBITS, no_root, 0, 0, 0) < 0 || ::setgroups(0, nullptr) < 0 ||
        ::setresgid(user.gid, user.gid, user.gid) < 0 || ::setresuid(user.uid, user.uid, user.uid) < 0)
        return fail(os_error(errno, "cannot give up root's rights"));
    // A change of user makes a process dumpable or not by a setting of the machine, and forgets its parent's death.
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    return {};
}

/// Nothing may be written, made, removed or executed anywhere: a second wall behind the root, where the kernel has it.
Result<void> add_landlock() {
    constexpr std::uint64_t all_but_reading =
        LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
        LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
        LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
        LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;
    if (::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1U /* LANDLOCK_CREATE_RULESET_VERSION */) < 1)
        return {};
    landlock_ruleset_attr attr{};
    attr.handled_access_fs = all_but_reading;
    const UniqueFd ruleset{static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0))};
    if (!ruleset || ::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) < 0)
        return fail(os_error(errno, "cannot enter Landlock"));
    return {};
}

void limit_resources() {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    ::setrlimit(RLIMIT_FSIZE, &none); // of files: pipes and sockets are none
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0) { // a push has one for each layer
        files.rlim_cur = files.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &files);
    }
}

} // namespace

Result<void> confine() {
    const User who = user(); // looked up while /etc/passwd is there
    limit_resources();
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || ::unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) < 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0)
        return fail(
            os_error(errno, "cannot make namespaces for the process that fetches", "it is run by ctrctl, as root"));
    TRY_VOID(enter_own_root());
    TRY_VOID(become(who));
    return add_landlock();
}

} // namespace ctrd::fetching

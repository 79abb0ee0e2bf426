// The least that a container start can cost: six namespaces, six mounts, pivot_root, exec, wait. It checks nothing that
// a runtime must check, makes no device and drops no right; it is a yardstick, not a runtime.
//
//     floor ROOTFS PROGRAM [ARG...]
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>

namespace {

struct Mount {
    const char* source;
    const char* target;
    const char* type;
    unsigned long flags;
    const char* data;
};

// The mounts of the small bundle, in its order.
constexpr Mount mounts[] = {
    {"proc", "proc", "proc", MS_NOSUID | MS_NOEXEC | MS_NODEV, nullptr},
    {"tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"},
    {"devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
    {"shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=1777,size=65536k"},
    {"mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NOEXEC | MS_NODEV, nullptr},
    {"sysfs", "sys", "sysfs", MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RDONLY, nullptr},
};

[[noreturn]] void give_up(const char* what) {
    std::perror(what);
    ::_exit(125);
}

[[noreturn]] void run_child(const char* rootfs, char** argv) {
    if (::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0 ||
        ::mount(rootfs, rootfs, nullptr, MS_BIND | MS_REC, nullptr) < 0 || ::chdir(rootfs) < 0)
        give_up(rootfs);
    for (const Mount& mount : mounts) {
        ::mkdir(mount.target, 0755);
        if (::mount(mount.source, mount.target, mount.type, mount.flags, mount.data) < 0)
            give_up(mount.target);
    }
    if (::syscall(SYS_pivot_root, ".", ".") < 0 || ::umount2(".", MNT_DETACH) < 0 || ::chdir("/") < 0)
        give_up("pivot_root");
    ::execv(argv[0], argv);
    give_up(argv[0]);
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fputs("usage: floor ROOTFS PROGRAM [ARG...]\n", stderr);
        return 2;
    }
    clone_args args{};
    args.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
    args.exit_signal = SIGCHLD;
    const auto child = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
    if (child < 0)
        give_up("clone3");
    if (child == 0)
        run_child(argv[1], argv + 2);
    int status = 0;
    if (::waitpid(child, &status, 0) != child)
        give_up("waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

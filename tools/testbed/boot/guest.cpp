#include "tools/testbed/boot/guest.hpp"

#include <array>
#include <csignal>
#include <filesystem>

#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

namespace testbed {
namespace {

namespace fs = std::filesystem;

void mount_or_die(const char* type, const std::string& target, unsigned long flags, const std::string& options = "") {
    std::error_code ec;
    fs::create_directories(target, ec);
    must(::mount(type, target.c_str(), type, flags, options.c_str()) == 0,
         std::string("cannot mount ") + type + " on '" + target + "'");
}

void bind_or_die(const std::string& source, const std::string& target) {
    must(::mount(source.c_str(), target.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0,
         "cannot bind '" + source + "' on '" + target + "'");
}

void touch(const std::string& path) {
    UniqueFd fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)};
    must(fd.get() >= 0, "cannot create '" + path + "'");
}

void mount_overlay(const GuestSpec& spec, const std::string& work, const std::string& root) {
    std::string lower;
    for (const auto& dir : spec.lowers)
        lower += (lower.empty() ? "" : ":") + dir;
    for (const char* dir : {"/upper", "/work"})
        fs::create_directory(work + dir);
    mount_or_die("overlay", root, 0, "lowerdir=" + lower + ",upperdir=" + work + "/upper,workdir=" + work + "/work");
}

struct Node {
    const char* name;
    mode_t mode;
    unsigned major, minor;
};

constexpr std::array nodes = {
    Node{"null", 0666, 1, 3},    Node{"zero", 0666, 1, 5}, Node{"full", 0666, 1, 7},    Node{"random", 0666, 1, 8},
    Node{"urandom", 0666, 1, 9}, Node{"tty", 0666, 5, 0},  Node{"fuse", 0666, 10, 229}, Node{"net/tun", 0666, 10, 200},
};

void fill_dev(const std::string& dev) {
    mount_or_die("tmpfs", dev, MS_NOSUID, "mode=755,size=4m");
    fs::create_directory(dev + "/net");
    for (const auto& node : nodes) {
        const std::string path = dev + "/" + node.name;
        must(::mknod(path.c_str(), S_IFCHR | node.mode, makedev(node.major, node.minor)) == 0 &&
                 ::chmod(path.c_str(), node.mode) == 0,
             "cannot make device '" + path + "'");
    }
    mount_or_die("devpts", dev + "/pts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5");
    mount_or_die("tmpfs", dev + "/shm", MS_NOSUID | MS_NODEV, "mode=1777");
    fs::create_symlink("pts/ptmx", dev + "/ptmx");
    fs::create_symlink("/proc/self/fd", dev + "/fd");
    fs::create_symlink("/proc/self/fd/0", dev + "/stdin");
    fs::create_symlink("/proc/self/fd/1", dev + "/stdout");
    fs::create_symlink("/proc/self/fd/2", dev + "/stderr");
}

// A pty on /dev/console: what systemd writes there is shown when the boot fails.
UniqueFd make_console(const std::string& dev) {
    UniqueFd master{::open((dev + "/pts/ptmx").c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)};
    must(master.get() >= 0 && ::unlockpt(master.get()) == 0, "cannot open a pty for the bed's console");
    touch(dev + "/console");
    bind_or_die(dev + "/pts/0", dev + "/console");
    return master;
}

UniqueFd make_notify_socket(const std::string& host_dir) {
    UniqueFd sock{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    must(sock.get() >= 0, "cannot make the notify socket");
    // sun_path is short and the guest's path may be long: bind below the current folder.
    must(::chdir(host_dir.c_str()) == 0, "cannot enter '" + host_dir + "'");
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = "notify"};
    must(::bind(sock.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0,
         "cannot bind the notify socket");
    must(::chdir("/") == 0, "cannot enter '/'");
    return sock;
}

// The target may not exist in the guest yet; what is made lands in the overlay's tmpfs.
void apply_bind(const Bind& bind, const std::string& root) {
    const std::string target = root + bind.target;
    std::error_code ec;
    if (fs::is_directory(bind.source, ec)) {
        fs::create_directories(target, ec);
    } else {
        fs::create_directories(fs::path(target).parent_path(), ec);
        if (!fs::exists(target, ec))
            touch(target);
    }
    bind_or_die(bind.source, target);
    if (!bind.read_only)
        return;
    mount_attr attributes{.attr_set = MOUNT_ATTR_RDONLY};
    must(::mount_setattr(AT_FDCWD, target.c_str(), AT_RECURSIVE, &attributes, sizeof attributes) == 0,
         "cannot make '" + target + "' read-only");
}

void write_identity(const std::string& etc, const std::string& hostname) {
    std::string id(36, '\0');
    UniqueFd random{::open("/proc/sys/kernel/random/uuid", O_RDONLY | O_CLOEXEC)};
    must(::read(random.get(), id.data(), id.size()) == static_cast<ssize_t>(id.size()), "cannot read a random uuid");
    std::erase(id, '-');
    constexpr int flags = O_WRONLY | O_CREAT | O_TRUNC;
    must(write_text(etc + "/machine-id", id + "\n", flags), "cannot write the bed's machine-id");
    must(write_text(etc + "/hostname", hostname + "\n", flags), "cannot write the bed's hostname");
}

} // namespace

Guest build_guest(const GuestSpec& spec) {
    const std::string& work = spec.mount_point;
    const std::string root = work + "/root";
    ::umask(022);
    mount_or_die("tmpfs", work, MS_NOSUID, "mode=755");
    mount_overlay(spec, work, root);
    write_identity(root + "/etc", spec.hostname);
    mount_or_die("tmpfs", root + "/run", MS_NOSUID | MS_NODEV, "mode=755");
    mount_or_die("tmpfs", root + "/tmp", MS_NOSUID | MS_NODEV, "mode=1777");
    // Not on the overlay: overlayfs does not take another overlay as its upper folder.
    mount_or_die("tmpfs", root + "/var/lib/containers", MS_NODEV, "mode=755");
    mount_or_die("tmpfs", root + "/var/lib/ctrd", MS_NODEV, "mode=755");
    fill_dev(root + "/dev");
    fs::create_directory(root + "/run/host");
    Guest guest{.root = root, .notify = make_notify_socket(root + "/run/host"), .console = make_console(root + "/dev")};
    for (const auto& bind : spec.binds)
        apply_bind(bind, root);
    return guest;
}

void enter_guest_and_exec_init(const GuestSpec& spec, const std::string& root) {
    // A new root can't be pivoted to while its mounts still receive the host's.
    must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "cannot make the mounts private");
    mount_or_die("proc", root + "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC);
    mount_or_die("sysfs", root + "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC);
    mount_or_die("cgroup2", root + "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC);
    mount_or_die("bpf", root + "/sys/fs/bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=700");
    must(::mount(nullptr, (root + "/sys").c_str(), nullptr,
                 MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0,
         "cannot make the bed's /sys read-only");
    must(::chdir(root.c_str()) == 0 && ::syscall(SYS_pivot_root, ".", ".") == 0 && ::umount2(".", MNT_DETACH) == 0 &&
             ::chdir("/") == 0,
         "cannot make '" + root + "' the root");
    must(::mount(nullptr, "/", nullptr, MS_REC | MS_SHARED, nullptr) == 0, "cannot make the bed's mounts shared");
    must(::sethostname(spec.hostname.c_str(), spec.hostname.size()) == 0, "cannot set the bed's hostname");

    UniqueFd console{::open("/dev/console", O_RDWR | O_NOCTTY | O_CLOEXEC)};
    must(console.get() >= 0, "cannot open the bed's /dev/console");
    for (int fd : {0, 1, 2})
        ::dup2(console.get(), fd);
    ::close_range(3, ~0U, 0);
    const char* argv[] = {"/sbin/init", "systemd.show_status=error", "systemd.unit=multi-user.target", nullptr};
    const char* envp[] = {"container=testbed", "NOTIFY_SOCKET=/run/host/notify", "TERM=dumb",
                          "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", nullptr};
    ::execve(argv[0], const_cast<char* const*>(argv), const_cast<char* const*>(envp));
    die(errno, "cannot execute the bed's /sbin/init");
}

} // namespace testbed

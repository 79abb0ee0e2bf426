#include "ctrd/runtime/id_map.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>
#include <csignal>

namespace ctrd::runtime {
namespace {

/// A namespace is made by a process in it, which lives until somebody else holds it.
Result<UniqueFd> make_user_namespace(const plan::IdMap& map) {
    clone_args args{};
    int number = -1;
    args.flags = CLONE_NEWUSER | CLONE_PIDFD;
    args.pidfd = reinterpret_cast<std::uintptr_t>(&number);
    args.exit_signal = SIGCHLD;
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
    if (pid < 0)
        return fail(os_error(errno, "cannot make a user namespace for the id mappings",
                             "check /proc/sys/user/max_user_namespaces"));
    if (pid == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        while (true)
            ::pause();
    }
    const UniqueFd pidfd{number};
    const std::string folder = fmt::format("/proc/{}", pid);
    auto written = write_control(folder + "/uid_map", id_map_text(map.uids)).context("uidMappings");
    if (written)
        written = write_control(folder + "/gid_map", id_map_text(map.gids)).context("gidMappings");
    auto opened = open_at(AT_FDCWD, folder + "/ns/user", O_RDONLY);
    [[maybe_unused]] auto killed = send_signal(pidfd.get(), SIGKILL);
    [[maybe_unused]] auto reaped = wait_exit(pid);
    if (!written)
        return fail(std::move(written).error());
    return opened;
}

/// The kernel tells whether it is one: a path may lead anywhere.
Result<UniqueFd> open_user_namespace(const std::string& path) {
    auto opened = TRY(open_at(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY).context("linux.namespaces"));
    if (::ioctl(opened.get(), NS_GET_NSTYPE) != CLONE_NEWUSER)
        return fail(bad_input("linux.namespaces: '" + path + "' is not a user namespace"));
    return opened;
}

bool is_only(const std::vector<oci::IdMapping>& mappings, std::uint32_t id) {
    return mappings.size() == 1 && mappings.front().size == 1 && mappings.front().host_id == id;
}

/// These are set-uid programs of the host (package uidmap).
Result<void> run_map_helper(const std::string& name, pid_t pid, const std::vector<oci::IdMapping>& mappings) {
    std::vector<std::string> words{name, std::to_string(pid)};
    for (const auto& mapping : mappings)
        for (const std::uint32_t number : {mapping.container_id, mapping.host_id, mapping.size})
            words.push_back(std::to_string(number));
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (std::string& word : words)
        argv.push_back(word.data());
    argv.push_back(nullptr);
    char* no_environment = nullptr;
    pid_t helper = -1;
    const std::string path = "/usr/bin/" + name;
    if (const int err = ::posix_spawn(&helper, path.c_str(), nullptr, nullptr, argv.data(), &no_environment); err != 0)
        return fail(
            os_error(err, "cannot run '" + path + "'",
                     "mapping more than yourself takes it (package uidmap) and a range in /etc/subuid, /etc/subgid"));
    if (const int status = TRY(wait_exit(helper)); status != 0)
        return fail(Error{std::errc::operation_not_permitted, fmt::format("'{}' exited with status {}", path, status),
                          "/etc/subuid and /etc/subgid say which ids you may map"});
    return {};
}

} // namespace

std::string id_map_text(const std::vector<oci::IdMapping>& mappings) {
    std::string text;
    for (const auto& mapping : mappings)
        text += fmt::format("{} {} {}\n", mapping.container_id, mapping.host_id, mapping.size);
    return text;
}

Result<void> write_id_maps(pid_t pid, const std::vector<oci::IdMapping>& uids,
                           const std::vector<oci::IdMapping>& gids) {
    if (uids.empty())
        return {};
    const std::string folder = fmt::format("/proc/{}", pid);
    if (::geteuid() != 0 && !(is_only(uids, ::geteuid()) && is_only(gids, ::getegid()))) {
        TRY_VOID(run_map_helper("newuidmap", pid, uids).context("linux.uidMappings"));
        return run_map_helper("newgidmap", pid, gids).context("linux.gidMappings");
    }
    if (::geteuid() != 0) // the kernel wants this from whoever maps without privileges
        TRY_VOID(write_control(folder + "/setgroups", "deny"));
    TRY_VOID(write_control(folder + "/uid_map", id_map_text(uids)).context("linux.uidMappings"));
    return write_control(folder + "/gid_map", id_map_text(gids)).context("linux.gidMappings");
}

Result<int> MappedNamespaces::find(const plan::IdMap& map) {
    for (const Entry& entry : entries_)
        if (entry.map.uids == map.uids && entry.map.gids == map.gids && entry.map.user_namespace == map.user_namespace)
            return entry.fd.get();
    entries_.push_back(
        {map, TRY(map.user_namespace.empty() ? make_user_namespace(map) : open_user_namespace(map.user_namespace))});
    return entries_.back().fd.get();
}

Result<void> map_ids(int tree, const plan::IdMap& map, MappedNamespaces& namespaces) {
    mount_attr attr{};
    attr.attr_set = MOUNT_ATTR_IDMAP;
    attr.userns_fd = static_cast<std::uint64_t>(TRY(namespaces.find(map)));
    if (::mount_setattr(tree, "", AT_EMPTY_PATH | (map.recursive ? AT_RECURSIVE : 0U), &attr, sizeof attr) < 0)
        return fail(os_error(errno, "cannot map the ids of the mount",
                             errno == EINVAL ? "its file system does not support id-mapped mounts" : ""));
    return {};
}

} // namespace ctrd::runtime

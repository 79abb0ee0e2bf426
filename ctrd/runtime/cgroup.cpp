#include "ctrd/runtime/cgroup.hpp"

#include "ctrd/base/deadline.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <poll.h>

namespace ctrd::runtime {
namespace {

std::vector<std::string_view> words(std::string_view text) {
    std::vector<std::string_view> result;
    while (!text.empty()) {
        const auto end = std::min(text.find_first_of(" \n"), text.size());
        if (end > 0)
            result.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return result;
}

/// The parent must hand its controllers down; what it does not have shows later as a missing file.
void enable_controllers(const std::string& parent) {
    const auto available = read_file(parent + "/cgroup.controllers");
    const auto enabled = read_file(parent + "/cgroup.subtree_control");
    if (!available || !enabled)
        return;
    const auto already = words(*enabled);
    std::vector<std::string> missing;
    std::string all;
    for (const auto name : words(*available))
        if (std::ranges::find(already, name) == already.end())
            all += missing.emplace_back("+" + std::string{name}) + " ";
    if (missing.empty() || write_control(parent + "/cgroup.subtree_control", all))
        return;
    for (const std::string& one : missing)
        [[maybe_unused]] auto written = write_control(parent + "/cgroup.subtree_control", one);
}

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

std::vector<std::string> subfolders(const std::string& folder) {
    std::vector<std::string> result;
    const std::unique_ptr<DIR, CloseDir> dir{::opendir(folder.c_str())};
    while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr)
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            result.push_back(folder + "/" + entry->d_name);
    return result;
}

} // namespace

Result<void> check_unused(const std::string& path) {
    const std::string padded = path + "/";
    if (padded.find("/../") != std::string::npos || padded.find("/./") != std::string::npos)
        return fail(bad_input("linux.cgroupsPath '" + path + "' holds '.' or '..'"));
    if (path.find_first_not_of('/') == std::string::npos)
        return fail(bad_input("linux.cgroupsPath '" + path + "' is the root of all cgroups", "name one below it"));
    const auto events = read_file(TRY(cgroup_mount()) + path + "/cgroup.events");
    if (!events && events.error().code != std::errc::no_such_file_or_directory)
        return fail(os_error(static_cast<int>(events.error().code), "linux.cgroupsPath '" + path + "'"));
    if (events && events->find("populated 1") != std::string::npos)
        return fail(bad_input("linux.cgroupsPath: the container's cgroup is not empty: there are processes in '" +
                                  path + "' already",
                              "delete the container that they are of, or name another path"));
    // A new one in its place would run; but whoever froze it wants nothing in there to run.
    const auto freeze = read_file(TRY(cgroup_mount()) + path + "/cgroup.freeze");
    if (freeze && freeze->starts_with('1'))
        return fail(bad_input("linux.cgroupsPath: container's cgroup unexpectedly frozen: '" + path + "'",
                              "write 0 into its cgroup.freeze, remove it, or name another path"));
    return {};
}

Result<std::string> create_cgroup(const std::string& path) {
    const std::string mount = TRY(cgroup_mount());
    std::string folder = mount;
    std::size_t at = 0;
    while (at < path.size()) {
        const auto end = std::min(path.find('/', at), path.size());
        if (end > at) {
            enable_controllers(folder);
            folder += "/" + path.substr(at, end - at);
            // The last is the container's: a new one, so that nobody who had its name before takes it for his.
            int made = ::mkdir(folder.c_str(), 0755);
            if (made < 0 && errno == EEXIST && path.find_first_not_of('/', end) != std::string::npos)
                made = 0;
            else if (made < 0 && errno == EEXIST && ::rmdir(folder.c_str()) == 0)
                made = ::mkdir(folder.c_str(), 0755);
            if (made < 0)
                return fail(os_error(errno, "cannot make the cgroup '" + folder + "'"));
        }
        at = end + 1;
    }
    return folder;
}

Result<void> kill_cgroup(const std::string& folder) { return write_control(folder + "/cgroup.kill", "1"); }

Result<void> set_frozen(const std::string& folder, bool frozen) {
    // Opened before: a change is seen that comes between the write and the wait.
    const UniqueFd events = TRY(open_at(AT_FDCWD, folder + "/cgroup.events", O_RDONLY));
    TRY_VOID(write_control(folder + "/cgroup.freeze", frozen ? "1" : "0"));
    const Deadline deadline{std::chrono::seconds{10}};
    while (true) {
        if (::lseek(events.get(), 0, SEEK_SET) < 0)
            return fail(os_error(errno, "'" + folder + "/cgroup.events'"));
        const std::string text = TRY(read_all(events.get(), 4096).context("'" + folder + "/cgroup.events'"));
        if ((text.find("frozen 1") != std::string::npos) == frozen)
            return {};
        pollfd waiting{events.get(), POLLPRI, 0};
        if (::poll(&waiting, 1, deadline.poll_timeout()) == 0)
            break;
    }
    if (frozen) [[maybe_unused]]
        auto thawed = write_control(folder + "/cgroup.freeze", "0");
    return fail(os_error(ETIMEDOUT, "the cgroup '" + folder + "' does not " + (frozen ? "freeze" : "thaw"),
                         frozen ? "a process in it is waiting in the kernel" : "a cgroup above it is frozen"));
}

Result<std::vector<int>> processes_in(const std::string& folder) {
    std::vector<int> result;
    const std::string text = TRY(read_file(folder + "/cgroup.procs"));
    for (const char *at = text.data(), *end = at + text.size(); at < end;) {
        int pid = 0;
        const auto parsed = std::from_chars(at, end, pid);
        if (parsed.ec == std::errc{} && pid != 0) // 0: a process of another pid namespace
            result.push_back(pid);
        at = parsed.ptr + 1;
    }
    for (const std::string& below : subfolders(folder))
        if (auto more = processes_in(below))
            result.insert(result.end(), more->begin(), more->end());
    return result;
}

Result<void> remove_cgroup(const std::string& folder) {
    for (int attempt = 0;; ++attempt) {
        for (const std::string& below : subfolders(folder))
            TRY_VOID(remove_cgroup(below));
        if (::rmdir(folder.c_str()) == 0 || errno == ENOENT)
            return {};
        if (errno != EBUSY || attempt == 100)
            return fail(os_error(errno, "cannot remove the cgroup '" + folder + "'"));
        ::poll(nullptr, 0, 10); // a killed process leaves its cgroup only when it is through with exiting
    }
}

} // namespace ctrd::runtime

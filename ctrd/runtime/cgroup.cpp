#include "ctrd/runtime/cgroup.hpp"

#include "ctrd/base/deadline.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"

#include <fmt/format.h>

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

using Control = std::pair<std::string, std::string>;

/// v1's 2..262144 around 1024 to v2's 1..10000 around 100, as the runtime-spec's users expect of every runtime.
std::uint64_t weight_from_shares(std::uint64_t shares) {
    const std::uint64_t clamped = std::clamp<std::uint64_t>(shares, 2, 262144);
    return 1 + ((clamped - 2) * 9999) / 262142;
}

std::string or_max(std::int64_t value) { return value < 0 ? "max" : std::to_string(value); }

Result<std::vector<Control>> controls(const oci::Resources& resources) {
    std::vector<Control> result;
    if (resources.memory_limit)
        result.emplace_back("memory.max", or_max(*resources.memory_limit));
    if (resources.memory_reservation)
        result.emplace_back("memory.low", or_max(*resources.memory_reservation));
    if (resources.memory_swap) {
        // config.json counts memory and swap together, the kernel swap alone.
        const std::int64_t total = *resources.memory_swap;
        if (total >= 0 && (!resources.memory_limit || *resources.memory_limit < 0 || total < *resources.memory_limit))
            return fail(bad_input("linux.resources.memory.swap needs a limit that is not above it"));
        result.emplace_back("memory.swap.max", total < 0 ? "max" : std::to_string(total - *resources.memory_limit));
    }
    if (resources.cpu_shares && *resources.cpu_shares != 0)
        result.emplace_back("cpu.weight", std::to_string(weight_from_shares(*resources.cpu_shares)));
    if (resources.cpu_quota || resources.cpu_period) {
        const std::int64_t quota = resources.cpu_quota.value_or(-1);
        result.emplace_back("cpu.max", fmt::format("{} {}", quota <= 0 ? "max" : std::to_string(quota),
                                                   resources.cpu_period.value_or(100000)));
    }
    if (!resources.cpus.empty())
        result.emplace_back("cpuset.cpus", resources.cpus);
    if (!resources.mems.empty())
        result.emplace_back("cpuset.mems", resources.mems);
    if (resources.pids_limit && *resources.pids_limit != 0)
        result.emplace_back("pids.max", or_max(*resources.pids_limit));
    for (const auto& control : resources.unified)
        result.push_back(control);
    return result;
}

/// The parent must hand its controllers down; what it does not have shows later as a missing file.
void enable_controllers(const std::string& parent) {
    const auto available = read_file(parent + "/cgroup.controllers");
    if (!available)
        return;
    std::string_view rest = *available;
    while (!rest.empty()) {
        const auto end = rest.find_first_of(" \n");
        if (const auto name = rest.substr(0, end); !name.empty()) [[maybe_unused]]
            auto written = write_control(parent + "/cgroup.subtree_control", "+" + std::string{name});
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }
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

Result<std::string> create_cgroup(const std::string& path) {
    const std::string mount = TRY(cgroup_mount());
    if (path.find("/../") != std::string::npos || path.ends_with("/.."))
        return fail(bad_input("linux.cgroupsPath '" + path + "' holds '..'"));
    std::string folder = mount;
    std::size_t at = 0;
    while (at < path.size()) {
        const auto end = std::min(path.find('/', at), path.size());
        if (end > at) {
            enable_controllers(folder);
            folder += "/" + path.substr(at, end - at);
            if (::mkdir(folder.c_str(), 0755) < 0 && errno != EEXIST)
                return fail(os_error(errno, "cannot make the cgroup '" + folder + "'"));
        }
        at = end + 1;
    }
    return folder;
}

Result<void> apply_resources(const std::string& folder, const oci::Resources& resources) {
    for (const auto& [file, value] : TRY(controls(resources))) {
        auto written = write_control(folder + "/" + file, value);
        if (written)
            continue;
        const std::string controller = file.substr(0, file.find('.'));
        if (written.error().code == std::errc::no_such_file_or_directory)
            return fail(
                Error{std::errc::not_supported,
                      fmt::format("linux.resources: '{}' can't be limited: the cgroup '{}' has no {} controller", file,
                                  folder, controller),
                      "see cgroup.controllers there; the host may have bound the controller to cgroup v1"});
        return std::move(written).context("linux.resources");
    }
    return {};
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

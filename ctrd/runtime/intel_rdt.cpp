#include "ctrd/runtime/intel_rdt.hpp"

#include "ctrd/base/file.hpp"

#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace ctrd::runtime {
namespace {

constexpr const char* mount_point = "/sys/fs/resctrl";

Result<void> check_mounted() {
    constexpr std::uint32_t resctrl_magic = 0x7655821;
    struct statfs fs {};
    if (::statfs(mount_point, &fs) == 0 && static_cast<std::uint32_t>(fs.f_type) == resctrl_magic)
        return {};
    return fail(Error{std::errc::not_supported,
                      "linux.intelRdt: no resctrl file system is mounted on '/sys/fs/resctrl'",
                      "it takes a processor with RDT: mount -t resctrl resctrl /sys/fs/resctrl"});
}

std::string_view trimmed(std::string_view line) {
    const auto from = line.find_first_not_of(" \t");
    const auto to = line.find_last_not_of(" \t\n");
    return from == std::string_view::npos ? std::string_view{} : line.substr(from, to - from + 1);
}

/// A group that was there before has its own schemata: what the configuration says must be what it has.
Result<void> compare_schemata(const std::string& folder, const std::vector<std::string>& wanted) {
    const std::string text = TRY(read_file(folder + "/schemata"));
    std::vector<std::string_view> lines;
    for (std::string_view rest = text; !rest.empty();) {
        const auto end = std::min(rest.find('\n'), rest.size());
        lines.push_back(trimmed(rest.substr(0, end)));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    for (const std::string& line : wanted)
        if (std::ranges::find(lines, trimmed(line)) == lines.end())
            return fail(bad_input("linux.intelRdt: the group '" + folder + "' exists, and its schemata have no line '" +
                                  std::string{trimmed(line)} + "'"));
    return {};
}

Result<void> write_schemata(const std::string& folder, const std::vector<std::string>& lines) {
    for (const std::string& line : lines)
        TRY_VOID(write_control(folder + "/schemata", std::string{trimmed(line)} + "\n").context("linux.intelRdt"));
    return {};
}

std::string folder_of(const oci::IntelRdt& rdt, const std::string& id) {
    const std::string& name = rdt.clos_id.empty() ? id : rdt.clos_id;
    return name == "/" ? mount_point : std::string{mount_point} + "/" + name;
}

Result<void> enter(const oci::IntelRdt& rdt, const std::string& folder, const std::string& id, pid_t pid) {
    TRY_VOID(write_control(folder + "/tasks", std::to_string(pid)).context("linux.intelRdt"));
    if (!rdt.monitoring)
        return {};
    const std::string monitor = folder + "/mon_groups/" + id;
    if (::mkdir(monitor.c_str(), 0755) < 0 && errno != EEXIST)
        return fail(os_error(errno, "linux.intelRdt: cannot make the monitoring group '" + monitor + "'"));
    auto written = write_control(monitor + "/tasks", std::to_string(pid)).context("linux.intelRdt");
    if (!written)
        ::rmdir(monitor.c_str());
    return written;
}

} // namespace

std::string own_rdt_folder(const std::optional<oci::IntelRdt>& rdt, const std::string& id) {
    return rdt && rdt->clos_id.empty() ? std::string{mount_point} + "/" + id : "";
}

Result<std::string> join_rdt(const oci::IntelRdt& rdt, const std::string& id, pid_t pid) {
    TRY_VOID(check_mounted());
    const std::string folder = folder_of(rdt, id);
    const bool exists = ::access(folder.c_str(), F_OK) == 0;
    std::string to_remove;
    if (exists) {
        TRY_VOID(compare_schemata(folder, rdt.schemata));
    } else if (!rdt.clos_id.empty() && rdt.schemata.empty()) {
        return fail(
            bad_input("linux.intelRdt.closID: there is no group '" + folder + "', and no schemata to make one"));
    } else {
        if (::mkdir(folder.c_str(), 0755) < 0)
            return fail(os_error(errno, "linux.intelRdt: cannot make the group '" + folder + "'",
                                 errno == ENOSPC ? "the processor has no more classes of service" : ""));
        if (rdt.clos_id.empty())
            to_remove = folder;
        if (auto written = write_schemata(folder, rdt.schemata); !written) {
            ::rmdir(folder.c_str());
            return fail(std::move(written).error());
        }
    }
    auto entered = enter(rdt, folder, id, pid);
    if (!entered) {
        remove_rdt(to_remove);
        return fail(std::move(entered).error());
    }
    if (to_remove.empty() && rdt.monitoring)
        to_remove = folder + "/mon_groups/" + id;
    return to_remove;
}

Result<void> follow_into_rdt(const oci::IntelRdt& rdt, const std::string& id, pid_t pid) {
    const std::string folder = folder_of(rdt, id);
    TRY_VOID(write_control(folder + "/tasks", std::to_string(pid)).context("linux.intelRdt"));
    if (rdt.monitoring)
        TRY_VOID(write_control(folder + "/mon_groups/" + id + "/tasks", std::to_string(pid)).context("linux.intelRdt"));
    return {};
}

Result<void> change_rdt(const oci::IntelRdt& rdt, const std::string& id, const std::vector<std::string>& schemata) {
    TRY_VOID(check_mounted());
    return write_schemata(folder_of(rdt, id), schemata);
}

void remove_rdt(const std::string& folder) noexcept {
    if (!folder.empty())
        ::rmdir(folder.c_str());
}

} // namespace ctrd::runtime

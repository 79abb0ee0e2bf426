#include "config/machine_units.hpp"

#include "config/files.hpp"
#include "config/units_parts.hpp"
#include "ctrd/base/file.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

namespace ctrd::config {
namespace {

constexpr const char* links_folder = "/run/machines";
constexpr const char* empty_image = "/run/ctrd/no-image"; // what all links lead to
// Where machined looks for images besides.
constexpr const char* image_folders[] = {"/etc/machines", "/var/lib/machines", "/var/lib/container",
                                         "/usr/local/lib/machines", "/usr/lib/machines"};

bool is_there(const std::string& path) {
    struct stat st {};
    return ::lstat(path.c_str(), &st) == 0;
}

bool is_ours(const std::string& link) {
    std::error_code error;
    return std::filesystem::read_symlink(link, error) == empty_image && !error;
}

/// An image of nspawn's has the name, and its unit is that one's.
bool is_taken(const std::string& name, const std::string& root) {
    const std::string link = root + links_folder + "/" + name;
    if (is_there(link) ? !is_ours(link) : is_there(link + ".raw"))
        return true;
    return std::ranges::any_of(image_folders, [&](const char* folder) {
        const std::string path = root + folder + "/" + name;
        return is_there(path) || is_there(path + ".raw");
    });
}

Result<void> make_one(const std::string& name, const std::string& units, const std::string& root) {
    const std::string folder = fmt::format("{}/systemd-nspawn@{}.service.d", units, name);
    TRY_VOID(make_dirs(folder, 0755));
    const bool survives = is_there(units + "/" + survival_drop_in(fmt::format("ctr@{}.service", name)));
    TRY_VOID(write_atomic(folder + "/10-ctrd.conf", machine_unit_text(name, survives), 0644));
    const std::string link = root + links_folder + "/" + name;
    if (::symlink(empty_image, link.c_str()) < 0 && errno != EEXIST)
        return fail(os_error(errno, fmt::format("cannot make the link '{}'", link)));
    return {};
}

void remove_stale(const std::vector<std::string>& names, const std::string& root) {
    const auto links = list_folder(root + links_folder);
    if (!links)
        return;
    for (const auto& name : *links)
        if (const std::string link = root + links_folder + "/" + name;
            !std::ranges::binary_search(names, name) && is_ours(link))
            ::unlink(link.c_str());
}

} // namespace

// Not BindsTo=: systemd would stop this unit for each end of the container's that its Restart= is to follow, and with
// PropagatesStopTo= that stop takes the new start away.
// A soft-reboot stops this unit, and must not stop a container that survives it.
std::string machine_unit_text(const std::string& name, bool survives) {
    return fmt::format(R"(# Made by ctrd-generator; changes are lost.
# What 'machinectl enable {0}' and 'machinectl start {0}' mean is the container that ctrd runs.

[Unit]
Description=Container {0}, as machinectl names it
Requires=ctr@{0}.service
After=ctr@{0}.service
{1}
[Service]
Type=oneshot
RemainAfterExit=yes
RestartForceExitStatus=
SuccessExitStatus=
ExecStart=
ExecStart=/bin/true
WatchdogSec=0
Delegate=no
DevicePolicy=auto
DeviceAllow=
Slice=system.slice
)",
                       name, survives ? "" : fmt::format("PropagatesStopTo=ctr@{}.service\n", name));
}

Diagnostics generate_machine_units(const std::vector<std::string>& names, const std::string& units,
                                   const std::string& root) {
    remove_stale(names, root);
    if (names.empty())
        return {};
    for (const auto& [folder, mode] : {std::pair{links_folder, 0755}, std::pair{empty_image, 0500}})
        if (auto made = make_dirs(root + folder, static_cast<mode_t>(mode)); !made)
            return from_error(made.error());
    Diagnostics problems;
    for (const auto& name : names)
        if (!is_taken(name, root))
            if (auto made = make_one(name, units, root); !made)
                std::ranges::move(from_error(made.error()), std::back_inserter(problems));
    return problems;
}

} // namespace ctrd::config

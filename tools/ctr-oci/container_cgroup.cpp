#include "tools/ctr-oci/container_cgroup.hpp"

#include "ctrd/base/process.hpp"
#include "ctrd/runtime/cgroup.hpp"

#include <fmt/format.h>

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace ctrd::ctr_oci {
namespace {

/// Below the root of the hierarchy: for root there, for others below the cgroup they are in, which may be theirs.
Result<std::string> cgroup_path(const oci::Spec& spec, const std::string& id) {
    if (!spec.cgroups_path.empty())
        return spec.cgroups_path.starts_with('/') ? spec.cgroups_path : "/" + spec.cgroups_path;
    const std::string name = "/ctr-oci-" + id;
    if (::geteuid() == 0 && is_host_root())
        return name;
    const std::string own = TRY(cgroup_of(::getpid()));
    return own == "/" ? name : own + name;
}

bool lacks_the_right(const Error& error) {
    return error.code == std::errc::permission_denied || error.code == std::errc::operation_not_permitted ||
           error.code == std::errc::read_only_file_system;
}

/// One that was found by its name alone: ours dies with its creator, maybe only just now. Who stays is another's.
void remove_when_empty(const std::string& folder) {
    for (int attempt = 0; attempt < 100; ++attempt) {
        if (::rmdir(folder.c_str()) == 0 || errno != EBUSY)
            return;
        ::poll(nullptr, 0, 10);
    }
}

} // namespace

Result<void> make_own_cgroup(store::Record& record, const oci::Spec& spec, const Options& options,
                             bool without_limits) {
    const std::string path = TRY(cgroup_path(spec, record.id));
    auto made = runtime::create_cgroup(path);
    if (made) {
        record.cgroup = std::move(*made);
        record.cgroup_is_ours = true;
        return {};
    }
    const bool may_go_without =
        options.rootless == Rootless::yes || (options.rootless == Rootless::automatic && !is_host_root());
    if (may_go_without && without_limits && lacks_the_right(made.error()))
        return {};
    if (may_go_without && lacks_the_right(made.error()) && made.error().hint.empty())
        made.error().hint = "limits need a cgroup of your own: systemd-run --user --scope -p Delegate=yes ctr-oci ...";
    return fail(std::move(made).error());
}

Result<void> check_cgroup(const oci::Spec& spec, const std::string& id, bool systemd) {
    if (!systemd) {
        const std::string path = TRY(cgroup_path(spec, id));
        return runtime::check_unused(path);
    }
    if (spec.cgroups_path.empty() || spec.cgroups_path.find(':') != std::string::npos)
        return {};
    return fail(bad_input("linux.cgroupsPath '" + spec.cgroups_path +
                          "' is not slice:prefix:name, as --systemd-cgroup wants it"));
}

void find_cgroup(store::Record& record, const oci::Spec& spec) {
    const auto mount = cgroup_mount();
    if (!mount || !record.cgroup.empty() || spec.cgroups_path.find(':') != std::string::npos)
        return;
    const auto path = cgroup_path(spec, record.id);
    if (!path)
        return;
    record.cgroup = *mount + *path;
    record.cgroup_is_ours = true;
}

Result<void> limit_devices_of(const store::Record& record, const plan::Plan& plan) {
    auto limited = runtime::limit_devices(record.cgroup, plan.device_rules);
    if (!limited && !is_host_root() && lacks_the_right(limited.error()))
        return {};
    return limited;
}

Result<void> remove_cgroup_of(const store::Record& record) {
    if (record.cgroup.empty())
        return {};
    if (record.cgroup_is_ours && (::rmdir(record.cgroup.c_str()) == 0 || errno == ENOENT))
        return {}; // nobody was left in it
    if (record.pid == 0 && record.cgroup_id == 0) {
        remove_when_empty(record.cgroup);
        return {};
    }
    // cgroup.kill also takes what the payload left running; a plain rmdir would only fail on it.
    [[maybe_unused]] auto killed = runtime::kill_cgroup(record.cgroup);
    return record.cgroup_is_ours ? runtime::remove_cgroup(record.cgroup) : Result<void>{};
}

} // namespace ctrd::ctr_oci

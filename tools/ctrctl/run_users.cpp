#include "tools/ctrctl/run_users.hpp"

#include "ctrd/base/fd.hpp"
#include "ctrd/runtime/id_map.hpp"
#include "ctrd/runtime/user_range.hpp"
#include "tools/ctrctl/outcome.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include <cerrno>

namespace ctrd::ctl {

Result<RunUsers> RunUsers::take(const config::UnitSpec& spec) {
    RunUsers users;
    if (!spec.private_users)
        return users;
    auto range = *spec.private_users;
    if (range.pick) {
        range.first = TRY(runtime::pick_user_range(spec.name));
        users.picked_for_ = spec.name;
    }
    const auto mappings = runtime::id_mappings(range.first, range.count);
    users.ids_ = plan::IdMap{mappings, mappings, false};
    return users;
}

RunUsers::~RunUsers() {
    if (!picked_for_.empty())
        if (const auto released = runtime::release_user_range(picked_for_); !released)
            report(exit_internal, released.error());
}

Result<void> enter_own_mounts() {
    if (::unshare(CLONE_NEWNS) < 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) < 0)
        return fail(os_error(errno, "cannot make a mount namespace"));
    return {};
}

Result<void> mount_mapped(const std::string& rootfs, const plan::IdMap& ids, const std::string& place) {
    TRY_VOID(enter_own_mounts());
    const UniqueFd tree{::open_tree(AT_FDCWD, rootfs.c_str(),
                                    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | static_cast<unsigned>(AT_RECURSIVE))};
    if (!tree)
        return fail(os_error(errno, "cannot open the root file system '" + rootfs + "'"));
    runtime::MappedNamespaces namespaces;
    plan::IdMap whole = ids;
    whole.recursive = true;
    TRY_VOID(runtime::map_ids(tree.get(), whole, namespaces).context("root file system '" + rootfs + "'"));
    if (::move_mount(tree.get(), "", AT_FDCWD, place.c_str(), MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return fail(os_error(errno, "cannot mount the root file system '" + rootfs + "'"));
    return {};
}

} // namespace ctrd::ctl

#include "tools/ctrctl/run_image.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/runtime/id_map.hpp"
#include "ctrd/runtime/overlay.hpp"
#include "tools/ctrctl/run_users.hpp"

#include <fcntl.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <cerrno>

namespace ctrd::ctl {

Outcome<RunImage> RunImage::open(const image::Digest& digest) {
    auto store = image::Store::open(image::default_store);
    if (!store)
        return refuse(exit_internal, std::move(store).error());
    auto lock = store->lock_shared();
    if (!lock)
        return refuse(exit_internal, std::move(lock).error());
    return RunImage{std::move(*store), std::move(*lock), digest};
}

Outcome<void> RunImage::hold(const config::ImageFacts& facts, const std::string& name, const std::string& folder) {
    const auto done = [&]() -> Result<void> {
        TRY_VOID(write_atomic(folder + "/image", image::use_text(facts.digest.text(), name), 0600));
        lock_ = UniqueFd{};
        workspace_ = std::make_unique<image::Workspace>(TRY(image::Workspace::make(store_)));
        stack_ = {.store = image::default_store,
                  .layers = facts.layers,
                  .changes = std::string{image::default_store} + "/tmp/" + workspace_->name(),
                  .fleeting = true};
        TRY_VOID(runtime::make_changes(stack_));
        TRY_VOID(runtime::check_stack(stack_));
        TRY_VOID(write_atomic(folder + "/changes", "tmp/" + workspace_->name(), 0600));
        return make_dirs(folder + "/rootfs", 0700);
    }();
    return done ? Outcome<void>{} : refuse(exit_internal, done.error());
}

namespace {

/// Overlayfs makes its own files with the ids of who mounts it, and the host's root has none where ids are mapped. All
/// of root's rights stay.
class AsOwner {
public:
    explicit AsOwner(const std::optional<plan::IdMap>& ids) : is_other_{ids.has_value()} {
        if (!is_other_)
            return;
        ::prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP);
        ::setfsgid(ids->gids.front().host_id);
        ::setfsuid(ids->uids.front().host_id);
    }
    AsOwner(const AsOwner&) = delete;
    AsOwner& operator=(const AsOwner&) = delete;
    ~AsOwner() {
        if (!is_other_)
            return;
        ::setfsuid(0);
        ::setfsgid(0);
        ::prctl(PR_SET_SECUREBITS, 0);
    }

private:
    bool is_other_;
};

Result<UniqueFd> mapped_store(const std::string& store, const plan::IdMap& ids, runtime::MappedNamespaces& namespaces) {
    UniqueFd tree{::open_tree(AT_FDCWD, store.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)};
    if (!tree)
        return fail(os_error(errno, "cannot open the image store '" + store + "'"));
    TRY_VOID(runtime::map_ids(tree.get(), ids, namespaces).context("image store '" + store + "'"));
    return tree;
}

} // namespace

Result<void> RunImage::mount_on(const std::string& place, const std::optional<plan::IdMap>& ids) const {
    TRY_VOID(enter_own_mounts());
    runtime::MappedNamespaces namespaces;
    const auto layers = TRY(runtime::mount_layers(stack_, ids, namespaces));
    const UniqueFd store = ids ? TRY(mapped_store(stack_.store, *ids, namespaces)) : UniqueFd{};
    UniqueFd root;
    {
        const AsOwner owner{ids};
        root = UniqueFd{runtime::stack_layers(stack_, store ? store.get() : -1, layers)};
    }
    if (!root || ::move_mount(root.get(), "", AT_FDCWD, place.c_str(), MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return fail(os_error(errno, "cannot mount the image's layers", "see the kernel's log (dmesg)"));
    return {};
}

} // namespace ctrd::ctl

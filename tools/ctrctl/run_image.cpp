#include "tools/ctrctl/run_image.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/runtime/overlay.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
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

Result<void> RunImage::mount_on(const std::string& place) const {
    if (::unshare(CLONE_NEWNS) < 0 || ::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) < 0)
        return fail(os_error(errno, "cannot make a mount namespace"));
    const UniqueFd root{runtime::stack_layers(stack_)};
    if (!root || ::move_mount(root.get(), "", AT_FDCWD, place.c_str(), MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return fail(os_error(errno, "cannot mount the image's layers", "see the kernel's log (dmesg)"));
    return {};
}

} // namespace ctrd::ctl

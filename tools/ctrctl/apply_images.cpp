#include "tools/ctrctl/apply_images.hpp"

#include "ctrd/image/use.hpp"
#include "ctrd/runtime/user_range.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>
#include <ctime>

namespace ctrd::ctl {
namespace {

Result<void> pin(const image::Store& store, const AppliedImage& one) {
    if (!one.declared)
        return image::remove_pin(store, one.container);
    const auto note = TRY(image::parse_use(one.note));
    const auto known = TRY(image::find_pin(store, one.container));
    if (known && known->image == *one.declared && known->digest == note.digest)
        return {};
    return image::set_pin(store, {one.container, *one.declared, note.digest, std::time(nullptr)});
}

} // namespace

Result<UniqueFd> lock_images() {
    const auto store = TRY(image::Store::open(image::default_store));
    return store.lock_shared();
}

Result<void> pin_images(const std::vector<AppliedImage>& images) {
    const auto store = image::Store::open_existing(image::default_store);
    for (const AppliedImage& one : images) {
        if (!store && !one.declared)
            continue; // no store, and none needed
        if (!store)
            return fail(store.error());
        TRY_VOID(pin(*store, one));
    }
    return {};
}

Result<void> forget_images(const std::vector<std::string>& containers) {
    const auto store = image::Store::open_existing(image::default_store);
    for (const std::string& container : containers)
        if (store)
            TRY_VOID(image::remove_pin(*store, container));
    return {};
}

Result<void> move_image(const std::string& container, const std::string& to) {
    TRY_VOID(runtime::rename_user_range(container, to));
    const auto store = image::Store::open_existing(image::default_store);
    if (!store)
        return {};
    const std::string folder = std::string{image::default_store} + "/containers/";
    if (::renameat2(AT_FDCWD, (folder + container).c_str(), AT_FDCWD, (folder + to).c_str(), RENAME_NOREPLACE) < 0 &&
        errno != ENOENT)
        return fail(os_error(errno, "cannot rename '" + folder + container + "' to '" + folder + to + "'",
                             errno == EEXIST ? "'ctrctl image prune' removes what is of no container" : ""));
    auto pin = TRY(image::find_pin(*store, container));
    if (!pin)
        return {};
    pin->container = to;
    TRY_VOID(image::set_pin(*store, *pin));
    return image::remove_pin(*store, container);
}

std::string describe_image(const std::string& note) {
    const auto use = image::parse_use(note);
    if (!use)
        return {};
    return printable(use->image) + " (" + std::string{to_string(use->digest.algorithm())} + ":" +
           use->digest.short_text() + ")";
}

} // namespace ctrd::ctl

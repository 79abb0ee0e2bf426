#include "tools/ctrctl/apply_images.hpp"

#include "ctrd/image/use.hpp"

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

std::string describe_image(const std::string& note) {
    const auto use = image::parse_use(note);
    if (!use)
        return {};
    return printable(use->image) + " (" + std::string{to_string(use->digest.algorithm())} + ":" +
           use->digest.short_text() + ")";
}

} // namespace ctrd::ctl

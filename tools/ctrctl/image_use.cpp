#include "tools/ctrctl/image_use.hpp"

#include "config/config.hpp"
#include "ctrd/image/folder.hpp"

#include <fcntl.h>

#include <algorithm>

namespace ctrd::ctl {
namespace {

/// Whether a declaration with the text `image` means what is called `name` now.
bool means(const std::string& image, const std::string& name) {
    const auto meant = image::tag_name(image);
    return meant && *meant == name;
}

} // namespace

Result<ImageUsers> image_users(const image::Store& store) {
    ImageUsers users;
    const auto uses = TRY(image::uses(store));
    for (const image::Use& use : uses)
        users[use.digest].insert(use.container);
    return users;
}

Result<void> check_unused(const image::Store& store, const std::string& name) {
    const auto tag = TRY(store.find_tag(name));
    if (!tag)
        return {};
    const auto tags = TRY(store.tags());
    const bool last = std::ranges::count(tags, tag->manifest, &image::Tag::manifest) == 1;
    const auto uses = TRY(image::uses(store));
    for (const image::Use& use : uses)
        if (use.digest == tag->manifest && (last || means(use.image, name)))
            return fail(Error{std::errc::device_or_resource_busy,
                              "image '" + printable(name) + "' is used by container '" + printable(use.container) +
                                  "'" + (use.running ? ", which runs" : ""),
                              "stop the container, or declare another image for it and run 'ctrctl apply'; --force "
                              "takes the name away all the same"});
    return {};
}

Result<image::Kept> kept_images(const image::Store& store) {
    image::Kept kept{TRY(image::uses(store)), {}};
    const auto listing = config::list_names(config::SearchDirs::system());
    kept.containers.insert(listing.names.begin(), listing.names.end());
    kept.containers.insert(listing.masked.begin(), listing.masked.end());
    const auto adhoc = TRY(image::names_in(AT_FDCWD, std::string{image::default_run_folder} + "/adhoc"));
    kept.containers.insert(adhoc.begin(), adhoc.end());
    return kept;
}

} // namespace ctrd::ctl

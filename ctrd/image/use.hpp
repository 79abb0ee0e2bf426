// Which container uses which image: what may not go away.
//
//     pins/NAME.json                          in the store: what `ctrctl apply` has found the declared name to mean
//     /run/ctrd/compiled/NAME/image           what the container's compiled config says
//     /run/ctrd/run/NAME.image                what the container that runs was started from
//     /run/ctrd/adhoc/NAME/image              the same of a `ctrctl run`
//
// Those below /run have two lines, the digest and the name, and are written with the store's lock held (shared), so
// that nothing goes away between the look at the store and the note of it.
#pragma once

#include "ctrd/image/store.hpp"

#include <map>
#include <set>

namespace ctrd::image {

/// A declared container and the image that its declaration was found to name: a later image of the same name is not
/// used before somebody asks for it.
struct Pin {
    std::string container{};
    std::string image{}; // as it is declared
    Digest digest;
    std::int64_t since{0}; // seconds after 1970
};
Result<std::optional<Pin>> find_pin(const Store& store, const std::string& container);
Result<std::vector<Pin>> pins(const Store& store);
Result<void> set_pin(const Store& store, const Pin& pin);
/// Fine where there is none.
Result<void> remove_pin(const Store& store, const std::string& container);

/// What the declared `text` means for `container`: its pin, as long as that is about the same text and the image is
/// there, or else what the name means now.
Result<Digest> image_of(const Store& store, const std::string& container, const std::string& text);

/// What use_text() has made.
struct UseNote {
    Digest digest;
    std::string image{};
};
Result<UseNote> parse_use(std::string_view text);

struct Use {
    std::string container{};
    std::string image{}; // by which name; may be empty
    Digest digest;
    bool running{false};
};
/// All of them; one container may be there several times.
Result<std::vector<Use>> uses(const Store& store, const std::string& run_folder = default_run_folder);

} // namespace ctrd::image

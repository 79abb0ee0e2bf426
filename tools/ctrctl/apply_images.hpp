// Which images the declared names mean is decided by `ctrctl apply`, and noted in the image store.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/base/result.hpp"

#include <optional>
#include <string>
#include <vector>

namespace ctrd::ctl {

struct AppliedImage {
    std::string container{};
    std::optional<std::string> declared{}; // the name; none: it has no image
    std::string note{};                    // image::use_text of what that means
};

/// Held until pin_images(): what was found is not removed meanwhile.
Result<UniqueFd> lock_images();

/// From now on the names mean these images, at the coming reload and after it, whatever else gets such a name.
Result<void> pin_images(const std::vector<AppliedImage>& images);

/// Of containers that are declared no more.
Result<void> forget_images(const std::vector<std::string>& containers);

/// Another name for a container at rest: its pin, and what it has written, if it is from an image.
Result<void> move_image(const std::string& container, const std::string& to);

/// "web:1 (sha256:0123456789ab)"; "" for a note of nothing.
std::string describe_image(const std::string& note);

} // namespace ctrd::ctl

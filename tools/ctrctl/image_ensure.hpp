// The one place that sees to it that an image is there before a container of it is.
#pragma once

#include "ctrd/image/digest.hpp"

#include <string>

namespace ctrd::ctl {

enum class Missing { pull, refuse };

/// The image that `text` names, in the store of this machine: pulled first where it is missing, or else an error that
/// says how it gets there.
Result<image::Digest> ensure_image(const std::string& text, Missing missing);

} // namespace ctrd::ctl

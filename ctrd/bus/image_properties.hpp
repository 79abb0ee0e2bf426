// The image of a container, on the bus.
#pragma once

#include "ctrd/bus/view.hpp"

namespace ctrd::bus {

/// Of the image that it runs from, or else would be started from: another one may have been declared meanwhile. Empty
/// without an image.
std::string image_digest_of(const Container& container);

} // namespace ctrd::bus

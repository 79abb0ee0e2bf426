// Whether what a container runs from is still what its image says: by what the kernel measures of the layer's files,
// where that was asked for when it came, and by unpacking it once more and comparing.
#pragma once

#include "ctrd/image/store.hpp"

namespace ctrd::image {

/// Layer `at` of `image`, counted from the lowest; an error says what is different. It takes the layer's room in the
/// store meanwhile.
Result<void> check_layer(const Store& store, const Image& image, std::size_t at);
/// By what the kernel measures alone: no file is read. Fine where there is no record of it.
Result<void> check_measures(const Store& store, const Digest& chain);

/// Makes it anew from its blob in the form that it has, of which units know: "layer" and, with `verity`, "record" in
/// `folder`, which is an empty one of the same file system. They are on the disk.
Result<void> rebuild_layer(const Store& store, const Image& image, std::size_t at, bool verity, int folder);

} // namespace ctrd::image

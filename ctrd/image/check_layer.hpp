// Whether what a container runs from is still what its image says: the layer is unpacked once more, and compared.
#pragma once

#include "ctrd/image/store.hpp"

namespace ctrd::image {

/// Layer `at` of `image`, counted from the lowest; an error says what is different. It takes the layer's room in the
/// store meanwhile.
Result<void> check_layer(const Store& store, const Image& image, std::size_t at);

} // namespace ctrd::image

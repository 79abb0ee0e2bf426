// What a start must know of the image store, without the code that reads it: store.hpp and use.hpp say what it means.
#pragma once

#include <string>
#include <string_view>

namespace ctrd::image {

inline constexpr const char* default_store = "/var/lib/ctrd";
inline constexpr const char* default_run_folder = "/run/ctrd";

/// The note of a use: two lines.
inline std::string use_text(std::string_view digest, std::string_view image) {
    return std::string{digest} + "\n" + std::string{image} + "\n";
}

/// Where a container's changes to an image are kept in the store: they belong to exactly these layers.
inline std::string changes_folder(std::string_view container, std::string_view top_layer) {
    return "containers/" + std::string{container} + "/" + std::string{top_layer};
}

} // namespace ctrd::image

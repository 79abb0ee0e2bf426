// Looking into layers that are stacked on each other as overlayfs does, without a mount.
#pragma once

#include "ctrd/image/layer_node.hpp"

#include <span>

namespace ctrd::image {

/// What is at `path`.
struct Found {
    enum class Kind { nothing, folder, link, other };
    Kind kind{Kind::nothing};
    std::optional<LayerNode> node{}; // unless it is nothing
    std::string path{};              // as far as it went: a link may come before the end
    std::string target{};            // of a link
};
/// `layers`: their roots, the uppermost first.
Result<Found> find_in_layers(std::span<const LayerNode> layers, const std::string& path);

/// Where `path` is when its links are followed, all below the root; "" where it leads to nothing.
Result<std::string> resolve_in_layers(std::span<const LayerNode> layers, const std::string& path);

} // namespace ctrd::image

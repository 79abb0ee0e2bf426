// What a layer leaves open until the layers below it are there. A folder that it only implies ("usr/bin/x" without an
// entry for "usr/bin") gets owner, mode and times of the one below; one that is a link there moves to where the link
// leads; a hard link to a file below gets a copy of it.
#pragma once

#include "ctrd/image/tree_writer.hpp"

#include <span>

namespace ctrd::image {

/// `tree`: the layer's, written and finished. `lowers`: those below, the uppermost first.
Result<void> settle(int tree, const LayerDebts& debts, std::span<const UniqueFd> lowers);

/// What is at `path` in layers stacked on each other.
struct Found {
    enum class Kind { nothing, folder, link, other };
    Kind kind{Kind::nothing};
    UniqueFd file{};      // O_PATH
    UniqueFd folder{};    // O_PATH, what `file` is in, unless that is a folder itself
    std::string path{};   // as far as it went: a link may come before the end
    std::string target{}; // of a link
};
Result<Found> find_in_layers(std::span<const UniqueFd> layers, const std::string& path);

/// Where `path` is when its links are followed, all below the root; "" where it leads to nothing.
Result<std::string> resolve_in_layers(std::span<const UniqueFd> layers, const std::string& path);

} // namespace ctrd::image

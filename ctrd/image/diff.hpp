// What is different between two stacks of layers, looked at as overlayfs does, without a mount.
#pragma once

#include "ctrd/base/fd.hpp"

#include <functional>
#include <span>

namespace ctrd::image {

struct Change {
    enum class Kind { added, changed, deleted };
    Kind kind{Kind::added};
    std::string path{}; // from "/" on, bytes
};

/// Both with the uppermost layer first. In the order of the names; of a folder that was added all that is in it, of one
/// that was deleted only itself. A folder counts as changed for its own mode, owner and attributes, not for its times.
Result<void> compare_layers(std::span<const UniqueFd> before, std::span<const UniqueFd> after,
                            const std::function<void(const Change&)>& found);

} // namespace ctrd::image

// What the storages of others on this machine, Podman's and Docker's, have in common: a folder that is read with care,
// images with names, and layers whose tars are put together again.
#pragma once

#include "ctrd/image/load.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace ctrd::image {

/// Ids and digests are file names there.
bool is_foreign_id(std::string_view text);

struct ForeignImage {
    std::string id{};
    std::string layer{}; // the uppermost, where the storage says it of an image
    std::vector<std::string> names{};
};

struct FoundForeign {
    ForeignImage image{};
    std::string name{}; // "": it was looked for by its id
};

/// `wanted` as a name, or the end of one, with 'latest' where it has no tag; then as the beginning of an id.
Result<std::optional<FoundForeign>> find_foreign(const std::vector<ForeignImage>& images, const std::string& wanted);

/// What to store it as.
Result<std::string> name_for(const FoundForeign& found, const LoadRequest& request);

class ForeignFolder {
public:
    explicit ForeignFolder(const UniqueFd& root) : root_{root.get()} {}

    /// Whoever may write there may have made links: they lead nowhere else.
    [[nodiscard]] Result<UniqueFd> open(const std::string& path, int flags) const;
    [[nodiscard]] Result<bool> has(const std::string& path) const;
    [[nodiscard]] Result<std::string> text(const std::string& path, std::size_t limit) const;

private:
    int root_;
};

/// The tar that `tree` was unpacked from; `list`: its tar-split. A thread writes it.
Result<LayerInput> stream_layer(UniqueFd list, UniqueFd tree);

} // namespace ctrd::image

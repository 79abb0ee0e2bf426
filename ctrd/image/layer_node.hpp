// Files of a layer as it is stored, whether that is a folder or an EROFS file: to look at, without mounting anything.
#pragma once

#include "ctrd/base/fd.hpp"

#include <sys/stat.h>

#include <memory>
#include <optional>

namespace ctrd::image {

/// One file, in itself: a link is a link.
class LayerNode {
public:
    /// A layer's root. `layer`: a folder (O_PATH will do), or an EROFS file that is open for reading.
    static Result<LayerNode> root(UniqueFd layer);

    [[nodiscard]] const struct stat& stat() const { return stat_; }
    [[nodiscard]] bool is_folder() const { return S_ISDIR(stat_.st_mode); }
    /// Overlayfs' mark of what is deleted.
    [[nodiscard]] bool is_whiteout() const { return S_ISCHR(stat_.st_mode) && stat_.st_rdev == 0; }

    /// What a folder has by that name.
    [[nodiscard]] Result<std::optional<LayerNode>> child(const std::string& name) const;
    /// Whether a folder hides what is below it.
    [[nodiscard]] Result<bool> is_opaque() const;
    /// Where a link leads.
    [[nodiscard]] Result<std::string> target() const;
    /// Of a folder or a regular file: those that takes_xattr() takes.
    [[nodiscard]] Result<std::vector<std::pair<std::string, std::string>>> xattrs() const;
    /// A regular file's content, refused above `limit` bytes.
    [[nodiscard]] Result<std::string> read(std::size_t limit) const;
    /// A regular file's content to the beginning of an empty one.
    [[nodiscard]] Result<void> copy_to(int file) const;

private:
    struct Kind;
    struct InFolder;
    struct InErofs;
    LayerNode(std::shared_ptr<const Kind> kind, const struct stat& st) : kind_{std::move(kind)}, stat_{st} {}

    std::shared_ptr<const Kind> kind_;
    struct stat stat_;
};

} // namespace ctrd::image

// Looks into an EROFS file without mounting it: for who may not mount, or needs one file of it. Of the format only what
// Writer writes; anything else is an error, and no number in the file is believed.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/erofs/format.hpp"
#include "ctrd/erofs/node.hpp"

#include <optional>

namespace ctrd::erofs {

/// A file that was found.
struct Found {
    Nid nid{0};
    Node node{}; // without attributes
    std::uint64_t size{0};
    Layout layout{Layout::plain};
    std::uint32_t block{0};
    std::uint32_t xattr_count{0};
};

class Reader {
public:
    static Result<Reader> open(UniqueFd file);

    [[nodiscard]] Result<Found> root() const;
    /// Nothing where `folder` has no such name.
    [[nodiscard]] Result<std::optional<Found>> find(const Found& folder, std::string_view name) const;
    [[nodiscard]] Result<Xattrs> xattrs(const Found& file) const;
    /// As much as there is from `offset` on, up to `most` bytes; of a link's content, too.
    [[nodiscard]] Result<std::string> read(const Found& file, std::uint64_t offset, std::size_t most) const;

private:
    explicit Reader(UniqueFd file) : file_{std::move(file)} {}
    [[nodiscard]] Result<Found> inode(Nid nid) const;
    Result<void> get(std::uint64_t at, void* to, std::size_t size) const;

    UniqueFd file_;
};

} // namespace ctrd::erofs

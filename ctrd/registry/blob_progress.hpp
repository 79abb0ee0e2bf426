// A blob on its way: what has come of it is counted and hashed, so that it can be gone on with after a cut, by another
// process, or from another place, and is right in the end or an error.
#pragma once

#include "ctrd/image/documents.hpp"
#include "ctrd/image/hasher.hpp"

#include <optional>

namespace ctrd::registry {

using image::Descriptor;

class BlobProgress {
public:
    explicit BlobProgress(Descriptor wanted) : wanted_{std::move(wanted)}, hasher_{wanted_.digest.algorithm()} {}
    /// Only counted, from byte `from` on: for one who hands it to somebody else who hashes it all.
    static BlobProgress counted(Descriptor wanted, std::uint64_t from);

    /// The next bytes: also what is there already from an earlier time. More than there should be is an error.
    Result<void> add(std::string_view data);
    /// All is there: whether it is what was wanted. Once.
    Result<void> finish();

    [[nodiscard]] std::uint64_t done() const noexcept { return done_; }
    [[nodiscard]] std::uint64_t left() const noexcept { return wanted_.size - done_; }
    [[nodiscard]] const Descriptor& wanted() const noexcept { return wanted_; }

private:
    Descriptor wanted_;
    std::optional<image::Hasher> hasher_;
    std::uint64_t done_{0};
};

/// What "Content-Range: bytes FIRST-LAST/TOTAL" says; `total` is 0 where it is '*'.
struct ContentRange {
    std::uint64_t first{0}, last{0}, total{0};
};
Result<ContentRange> parse_content_range(std::string_view value);

} // namespace ctrd::registry

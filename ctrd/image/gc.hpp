// What nothing leads to any more goes: prune. What leads somewhere is names, and what containers use.
#pragma once

#include "ctrd/image/use.hpp"

#include <functional>

namespace ctrd::image {

struct Removed {
    std::vector<std::string> names{};
    std::vector<Digest> blobs{};
    std::vector<std::string> layers{};  // as their folders are named
    std::vector<std::string> changes{}; // "CONTAINER/TOP-LAYER": what containers had written to images
    std::uint64_t bytes{0};             // of the blobs, and of beginnings of some
};

/// What may not go besides what has a name.
struct Kept {
    std::vector<Use> uses{};
    std::set<std::string> containers{};     // declared, whatever is known of their images: their changes stay
    std::set<std::string> unwanted_names{}; // which go, too
};

/// `kept` is asked for while the store is locked: nobody begins to use what is not in it. What goes loses its name
/// then, and is taken apart when the lock is free again: starts wait no longer than renaming takes. With `dry_run` only
/// says what would go.
Result<Removed> prune(const Store& store, const std::function<Result<Kept>()>& kept, bool dry_run);

struct Problem {
    std::string what{};
    std::string message{};
    std::optional<Digest> blob{}; // which is damaged, or not there
};
/// Every document, blob and layer that a name leads to: there, and what its digest says; `quick`: of blobs their size
/// alone. Also what lies around.
Result<std::vector<Problem>> verify(const Store& store, bool quick = false);

} // namespace ctrd::image

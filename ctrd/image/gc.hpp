// What nothing leads to any more goes: prune. What leads somewhere is names, and what containers use.
#pragma once

#include "ctrd/image/store.hpp"

#include <set>

namespace ctrd::image {

struct Removed {
    std::vector<Digest> blobs{};
    std::vector<std::string> layers{}; // as their folders are named
    std::uint64_t bytes{0};            // of the blobs, and of beginnings of some
};

/// Images that containers use: what their compiled configs name, and what those that run were started from
/// (images.md, "What is in use").
Result<std::set<Digest>> images_in_use(const std::string& run_folder = "/run/ctrd");

/// Takes the store for itself while it works. With `dry_run` only says what would go.
Result<Removed> prune(const Store& store, const std::set<Digest>& in_use, bool dry_run);

struct Problem {
    std::string what{};
    std::string message{};
};
/// Every document, blob and layer that a name leads to: there, and what its digest says. Also what lies around.
Result<std::vector<Problem>> verify(const Store& store);

} // namespace ctrd::image

// An image out of a registry into the store, as the confined worker does it: what it gets through its pipes is hostile.
// Its layers are unpacked while they come.
#pragma once

#include "ctrd/image/fetcher.hpp"
#include "ctrd/image/ingest.hpp"
#include "ctrd/image/policy.hpp"

namespace ctrd::image {

/// What the name may mean, and what is asked of it then.
struct PullCandidate {
    Reference reference{};
    Requirements requirements{};
    std::string scope{}; // of policy.json
};

struct PullRequest {
    std::vector<PullCandidate> candidates{};
    Platform platform{};
    IngestOptions options{};
};

Result<Tag> pull(const Store& store, const Fetcher& fetcher, const PullRequest& request);

} // namespace ctrd::image

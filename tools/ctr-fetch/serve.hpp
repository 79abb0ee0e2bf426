// The three jobs of ctr-fetch: to answer the unpacking worker, to push, to try a log-in.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/image/ingest.hpp"
#include "ctrd/registry/client.hpp"
#include "ctrd/registry/wire.hpp"

namespace ctrd::fetching {

/// Answers what comes over `channel` (ctrd/image/fetcher.hpp) until its other end has gone.
Result<void> serve(registry::Client& client, const registry::FetchSettings& settings, const UniqueFd& channel);

/// What the manifest in `settings` names, out of `files` (the config, then the layers), and the manifest.
Result<void> push(registry::Client& client, const registry::FetchSettings& settings, std::span<const UniqueFd> files,
                  const image::ProgressSink& progress);

Result<void> log_in(registry::Client& client, const registry::FetchSettings& settings);

} // namespace ctrd::fetching

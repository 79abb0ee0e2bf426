// ctr-fetch for one job that needs no unpacking: a push, or the try of a log-in.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/image/ingest.hpp"
#include "ctrd/image/json.hpp"
#include "ctrd/registry/wire.hpp"

#include <span>

namespace ctrd::ctl {

/// `files` are handed over one by one. EINTR: a signal has ended it.
Result<void> run_registry_job(const image::Json& job, const registry::FetchSettings& settings,
                              std::span<const UniqueFd> files, const image::ProgressSink& progress);

} // namespace ctrd::ctl

// ctr-image, as ctrctl runs it: the confined process that takes images apart.
#pragma once

#include "ctrd/image/worker_protocol.hpp"
#include "tools/ctrctl/helper.hpp"

namespace ctrd::ctl {

/// Runs it for one request; progress comes as it goes. `given`: what it gets besides the store (worker_protocol.hpp).
/// The store's lock is the caller's. When a signal asks us to end
/// (EINTR) it has been killed, and what it had begun is away.
Result<std::vector<image::Tag>> run_image_worker(imaging::Request request, const image::Store& store,
                                                 std::span<const int> given, const image::ProgressSink& progress);

} // namespace ctrd::ctl

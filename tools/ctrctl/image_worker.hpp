// ctr-image, as ctrctl runs it: the confined process that takes images apart.
#pragma once

#include "ctrd/image/worker_protocol.hpp"

namespace ctrd::ctl {

/// Runs it for one request; progress comes as it goes. The store's lock is the caller's.
Result<std::vector<image::Tag>> run_image_worker(const imaging::Request& request, int store, int input,
                                                 const image::ProgressSink& progress);

} // namespace ctrd::ctl

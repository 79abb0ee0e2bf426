// A pull into the system's store, told on the system bus as it goes: io.ctrd1(5), "Signals of images". ctrd has no part
// in a pull, so they come from the pulling process itself; the bus lets nobody but root send them.
#pragma once

#include "ctrd/image/ingest.hpp"

#include <functional>
#include <string>

namespace ctrd::ctl {

using PullFunction = std::function<Result<image::Tag>(const image::ProgressSink&)>;

/// Runs `pull`, with a sink that goes on to `progress` (which may be empty). Where there is no bus nobody is told.
Result<image::Tag> with_signals(const std::string& name, const image::ProgressSink& progress, const PullFunction& pull);

} // namespace ctrd::ctl

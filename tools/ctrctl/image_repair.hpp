// What `ctrctl image verify` has found wrong, and --repair, which makes it good: an unpacked layer is made anew from
// its blob, everything else is fetched again from where it came.
#pragma once

#include "ctrd/image/gc.hpp"

namespace ctrd::ctl {

struct Finding {
    image::Problem problem{};
    std::optional<image::Digest> image{}; // whose layer it is; none: no unpacked layer
    std::size_t layer{0};                 // which of them, the lowest is 0
};

/// An error says why it can't be; what containers run from is as it was then. EINTR: a signal has ended it. The store's
/// lock is free.
Result<void> repair(const image::Store& store, const Finding& finding);

} // namespace ctrd::ctl

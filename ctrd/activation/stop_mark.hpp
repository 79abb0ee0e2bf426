// /run/ctrd/run/NAME.stop: the container stands still, nobody is connected to it, and ctrd is about to have it stopped.
// `ctr-run stop` kills such a one where it would thaw another: thawed, it could accept a connection that is lost with
// it.
//
// ctrd writes it before it freezes. One that is found without a stop on its way was left by a ctrd that was killed.
#pragma once

#include "ctrd/base/result.hpp"

namespace ctrd::activation {

Result<void> mark_stop(std::string_view container);
bool is_stop_marked(std::string_view container);
/// No error where there is none.
Result<void> unmark_stop(std::string_view container);

} // namespace ctrd::activation

// The command line of `ctrctl image`.
#pragma once

#include "tools/ctrctl/verbs.hpp"

namespace CLI {
class App;
}

namespace ctrd::ctl {

/// The verbs below `image`; each writes what it is given into `options`.
void add_image_verbs(CLI::App& image, ImageOptions& options);
/// `login` and `logout`.
void add_login_verbs(CLI::App& app, LoginOptions& options);

} // namespace ctrd::ctl

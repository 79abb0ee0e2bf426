#pragma once

#include <string_view>

namespace ctrd::config {

/// The text of config/seccomp-default.json.
extern const std::string_view seccomp_default_text;

} // namespace ctrd::config

// What `ctrctl run` is to run, as a declaration: for the foreground and the background alike.
#pragma once

#include "tools/ctrctl/verbs.hpp"

#include "config/unit_spec.hpp"

#include <string>
#include <string_view>

namespace ctrd::ctl {

/// In quotes, as TOML's basic strings are.
std::string toml_string(std::string_view text);

/// The text of a container file that says what `spec` does, of the keys that `ctrctl run` has.
std::string declaration_of(const config::UnitSpec& spec);

/// Declares it until the next boot, and starts it. Its exit code.
int run_detached(const RunOptions& options, const std::string& name, const config::UnitSpec& spec);

} // namespace ctrd::ctl

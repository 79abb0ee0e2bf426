// What load, import and pull share: what their options mean, and what they print in the end.
#pragma once

#include "ctrd/image/documents.hpp"
#include "ctrd/image/store.hpp"
#include "tools/ctrctl/output.hpp"

#include <cstdint>

namespace ctrd::ctl {

/// "linux/arm64/v8"; this machine's where nothing is said.
Result<image::Platform> wanted_platform(const std::string& text);
/// The names that are stored now; the exit code.
int show_brought(const std::vector<image::Tag>& tags, Json json);
/// The exit code: 130 where somebody has ended it.
int report_brought(const Error& error);

} // namespace ctrd::ctl

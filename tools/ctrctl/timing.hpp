// How the starts of a container are shown.
#pragma once

#include "ctrd/activation/starts.hpp"
#include "tools/ctrctl/output.hpp"

namespace ctrd::ctl {

/// A bar for each part of the last start, then what is known of all.
std::string timing_text(const std::string& name, const activation::Starts& starts, const Look& look);
nlohmann::json timing_json(const std::string& name, const activation::Starts& starts);

} // namespace ctrd::ctl

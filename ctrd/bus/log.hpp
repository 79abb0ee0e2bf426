// One line of the journal each, with its priority (sd-daemon(3)); stderr leads there.
#pragma once

#include "ctrd/base/result.hpp"

namespace ctrd::bus {

void log_error(std::string_view text);
void log_warning(std::string_view text);
void log_info(std::string_view text);
void log_debug(std::string_view text);

/// With the hint, if it has one.
void log_error(const Error& error);
void log_warning(const Error& error);

} // namespace ctrd::bus

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

/// An entry of the journal with the fields of events (ids: ctrd/base/journal.hpp).
void log_event(const char* id, const char* event, const std::string& container, const std::string& source,
               const std::string& message);

} // namespace ctrd::bus

// Answers to bus calls: the only place where an Error becomes a bus error.
#pragma once

#include "ctrd/base/result.hpp"
#include "machined-plugin/bus_types.hpp"

namespace ctrd::bus {

namespace error_name {
constexpr const char* no_such_container = "io.ctrd1.Error.NoSuchContainer";
constexpr const char* start_failed = "io.ctrd1.Error.StartFailed";
constexpr const char* stop_failed = "io.ctrd1.Error.StopFailed";
constexpr const char* not_running = "io.ctrd1.Error.NotRunning";
constexpr const char* no_terminal = "io.ctrd1.Error.NoTerminal";
constexpr const char* bad_input = "io.ctrd1.Error.BadInput";
constexpr const char* failed = "org.freedesktop.DBus.Error.Failed";
constexpr const char* access_denied = "org.freedesktop.DBus.Error.AccessDenied";
constexpr const char* interaction_required = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired";
constexpr const char* limits_exceeded = "org.freedesktop.DBus.Error.LimitsExceeded";
} // namespace error_name

/// Both return what a method handler returns.
int reply_error(sd_bus_message* call, const char* name, const Error& error);
int reply_done(sd_bus_message* call);

int reply_no_such_container(sd_bus_message* call, const std::string& name);

} // namespace ctrd::bus

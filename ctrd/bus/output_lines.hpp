// What a container has written, cut into lines as the journal cuts what comes from services.
#pragma once

#include <optional>
#include <string_view>

namespace ctrd::bus {

struct OutputLine {
    std::string_view text{}; // without a priority, and without spaces at its end; may be empty
    int priority{6};         // as syslog(3)'s: LOG_INFO, where the line does not begin with another one (sd-daemon(3))
};

/// A line longer than this is several (journald.conf(5), LineMax=).
inline constexpr std::size_t longest_line = 48U << 10;

/// Takes the first line off `written`. nullopt: there is the beginning of one at most; `at_end`: that is all of it.
std::optional<OutputLine> take_line(std::string_view& written, bool at_end);

} // namespace ctrd::bus

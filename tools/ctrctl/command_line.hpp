// Words to a Command. The only place that knows CLI11: it is much to compile.
#pragma once

#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/verbs.hpp"

#include <string>
#include <vector>

namespace ctrd::ctl {

/// `words`: without the program's own name. An error has the nearest verb or option as its hint.
Outcome<Command> parse_command_line(std::vector<std::string> words);

} // namespace ctrd::ctl

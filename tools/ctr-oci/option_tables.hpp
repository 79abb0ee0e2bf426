// Every command and option as data: what the parser looks things up in and what --help prints.
#pragma once

#include "tools/ctr-oci/options.hpp"

#include <span>

namespace ctrd::ctr_oci {

/// One option: a flag, or with a value. `apply` gets the value ("true" or "false" for a flag).
struct Option {
    std::string_view name;
    std::string_view shorthand;
    std::string_view value_name; // empty: a flag
    std::string_view help;
    Result<void> (*apply)(Options&, const std::string&);
};

struct Command {
    std::string_view name;
    std::string_view arguments;
    std::string_view help;
    std::span<const Option> options;
    std::size_t least; // arguments
    std::size_t most;
    bool options_end_at_first{false}; // what follows the container's id is another program's command line
};

std::span<const Option> global_options();
std::span<const Command> commands();

} // namespace ctrd::ctr_oci

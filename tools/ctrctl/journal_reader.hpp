// journalctl, which reads the journal for `logs` and `events`.
#pragma once

#include "tools/ctrctl/output.hpp"

#include <string>
#include <vector>

namespace ctrd::ctl {

/// What both verbs have.
struct JournalQuery {
    std::string lines{}, since{}, until{}, after_cursor{}; // as they were given; empty: not
    bool follow{false};
};

/// journalctl's first arguments. Every value is glued to its option, so that none can pass for another option.
std::vector<std::string> journal_arguments(const JournalQuery& query);

/// Whether journalctl has anything to print; true also where it can't be asked.
bool any_in_journal(std::vector<std::string> arguments);

/// Becomes journalctl, in place of us; the exit code where that fails.
int read_journal(std::vector<std::string> arguments);

} // namespace ctrd::ctl

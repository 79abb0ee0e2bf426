#include "tools/ctrctl/journal_reader.hpp"

#include "tools/ctrctl/outcome.hpp"

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace ctrd::ctl {

std::vector<std::string> journal_arguments(const JournalQuery& query) {
    std::vector<std::string> arguments{"journalctl"};
    if (query.follow)
        arguments.emplace_back("--follow");
    const std::pair<const char*, const std::string&> values[] = {{"--lines=", query.lines},
                                                                 {"--since=", query.since},
                                                                 {"--until=", query.until},
                                                                 {"--after-cursor=", query.after_cursor}};
    for (const auto& [option, value] : values)
        if (!value.empty())
            arguments.push_back(option + value);
    return arguments;
}

int read_journal(std::vector<std::string> arguments) {
    std::vector<char*> argv;
    for (auto& argument : arguments)
        argv.push_back(argument.data());
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    return report(exit_internal, os_error(errno, "cannot run journalctl", "it belongs to the package systemd"));
}

} // namespace ctrd::ctl

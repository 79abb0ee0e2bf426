#include "tools/ctrctl/journal_reader.hpp"

#include "ctrd/base/fd.hpp"
#include "ctrd/base/process.hpp"
#include "tools/ctrctl/outcome.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace ctrd::ctl {

namespace {

std::vector<char*> argv_of(std::vector<std::string>& arguments) {
    std::vector<char*> argv;
    for (auto& argument : arguments)
        argv.push_back(argument.data());
    argv.push_back(nullptr);
    return argv;
}

} // namespace

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

bool any_in_journal(std::vector<std::string> arguments) {
    auto argv = argv_of(arguments);
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0)
        return true;
    const UniqueFd ours{ends[0]};
    UniqueFd theirs{ends[1]};
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::dup2(theirs.get(), STDOUT_FILENO);
        ::execvp(argv[0], argv.data());
        ::_exit(127);
    }
    theirs = UniqueFd{};
    char byte = 0;
    const bool any = pid < 0 || ::read(ours.get(), &byte, 1) == 1;
    const auto code = pid < 0 ? Result<int>{0} : wait_exit(pid);
    return any || !code || *code != 0;
}

int read_journal(std::vector<std::string> arguments) {
    auto argv = argv_of(arguments);
    ::execvp(argv[0], argv.data());
    return report(exit_internal, os_error(errno, "cannot run journalctl", "it belongs to the package systemd"));
}

} // namespace ctrd::ctl

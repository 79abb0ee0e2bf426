// pause, resume and ps.
#include "ctrd/base/deadline.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/runtime/cgroup.hpp"
#include "tools/ctr-oci/commands.hpp"
#include "tools/ctr-oci/launch.hpp"
#include "tools/ctr-oci/process_table.hpp"

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <spawn.h>

#include <algorithm>
#include <cstdio>

extern char** environ;

namespace ctrd::ctr_oci {
namespace {

Result<store::Record> load_with_cgroup(const store::Records& records, const std::string& id) {
    store::Record record = TRY(records.load(id));
    const auto status = records.status(record);
    if (status == store::Status::stopped || status == store::Status::creating)
        return fail(Error{std::errc::no_such_process, "container not running: '" + id + "'", ""});
    if (record.cgroup.empty())
        return fail(bad_input("container '" + id + "' has no cgroup of its own"));
    return record;
}

/// None of a stopped one: that is an answer, where "not running" would be an error to look into.
Result<std::vector<int>> processes_of(const store::Records& records, const std::string& id) {
    if (records.status(TRY(records.load(id))) == store::Status::stopped)
        return std::vector<int>{};
    return runtime::processes_in(TRY(load_with_cgroup(records, id)).cgroup);
}

Result<int> change(const Options& options, bool freeze) {
    const store::Records records = open_records(options);
    const store::Record record = TRY(load_with_cgroup(records, options.arguments.front()));
    if (!freeze && records.status(record) != store::Status::paused)
        return fail(bad_input("container not paused: '" + record.id + "'"));
    TRY_VOID(runtime::set_frozen(record.cgroup, freeze));
    return 0;
}

/// The host's own ps, never the image's.
Result<std::string> output_of_ps(std::vector<std::string> arguments) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0)
        return fail(os_error(errno, "cannot make a pipe"));
    const UniqueFd ours{ends[0]};
    UniqueFd theirs{ends[1]};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDOUT_FILENO);
    if (arguments.empty())
        arguments.emplace_back("-ef");
    arguments.insert(arguments.begin(), "ps");
    std::vector<char*> argv;
    for (std::string& argument : arguments)
        argv.push_back(argument.data());
    argv.push_back(nullptr);
    pid_t pid = -1;
    const int err = ::posix_spawnp(&pid, "ps", &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (err != 0)
        return fail(os_error(err, "cannot run 'ps'", "ps --format=json does without"));
    theirs = UniqueFd{};
    auto text = read_all(ours.get(), 64U << 20);
    const int status = TRY(wait_exit(pid));
    if (text && status != 0)
        return fail(Error{std::errc::io_error, "ps ended with status " + std::to_string(status), ""});
    return text;
}

} // namespace

Result<int> pause(const Options& options) { return change(options, true); }

Result<int> resume(const Options& options) { return change(options, false); }

Result<int> ps(const Options& options) {
    const store::Records records = open_records(options);
    const std::vector<int> pids = TRY(processes_of(records, options.arguments.front()));
    if (options.json) {
        ::puts(nlohmann::json(pids).dump().c_str());
        return 0;
    }
    const std::string table = TRY(output_of_ps({options.arguments.begin() + 1, options.arguments.end()}));
    ::fputs(TRY(lines_of_processes(table, pids)).c_str(), stdout);
    return 0;
}

} // namespace ctrd::ctr_oci

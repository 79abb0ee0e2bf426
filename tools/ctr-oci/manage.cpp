// state, kill, delete and list.
#include "tools/ctr-oci/commands.hpp"
#include "tools/ctr-oci/launch.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/runtime/cgroup.hpp"

#include <nlohmann/json.hpp>

#include <poll.h>
#include <regex.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

namespace ctrd::ctr_oci {
namespace {

using Json = nlohmann::ordered_json;

/// runtime.md, "State", and what runc adds to it.
Json to_json(const store::Records& records, const store::Record& record) {
    const auto status = records.status(record);
    return {{"ociVersion", record.version},
            {"id", record.id},
            {"pid", status == store::Status::stopped ? 0 : record.pid},
            {"status", to_string(status)},
            {"bundle", record.bundle},
            {"rootfs", record.rootfs},
            {"created", record.created},
            {"annotations", record.annotations},
            {"owner", record.owner}};
}

void print(const Json& json) { ::puts(json.dump(2, ' ', false, Json::error_handler_t::replace).c_str()); }

/// As wide as the widest, at least 12, and 3 between two.
void print_table(const std::vector<std::array<std::string, 6>>& table) {
    std::array<std::size_t, 6> widths{};
    for (const auto& row : table)
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max({widths[i], row[i].size() + 3, std::size_t{12}});
    for (const auto& row : table) {
        std::string line;
        for (std::size_t i = 0; i + 1 < row.size(); ++i)
            line += row[i] + std::string(widths[i] - row[i].size(), ' ');
        ::puts((line + row.back()).c_str());
    }
}

/// In words that containerd and Podman look for.
Error not_running(const std::string& id) {
    return {std::errc::no_such_process, "container not running: '" + id + "'", ""};
}

bool is_gone(const Error& error) {
    return error.code == std::errc::no_such_process || error.code == std::errc::no_such_file_or_directory ||
           error.code == std::errc::no_such_device;
}

Result<void> signal_all(const store::Record& record, int number) {
    if (record.cgroup.empty())
        return fail(not_running(record.id));
    if (number == SIGKILL)
        return runtime::kill_cgroup(record.cgroup);
    const std::string mount = TRY(cgroup_mount());
    for (const int pid : TRY(runtime::processes_in(record.cgroup))) {
        // Opened first, compared second: the number may have been given to a stranger meanwhile.
        const auto pidfd = open_pidfd(pid);
        const auto cgroup = cgroup_of(pid);
        if (pidfd && cgroup && (mount + *cgroup + "/").starts_with(record.cgroup + "/")) [[maybe_unused]]
            auto sent = send_signal(pidfd->get(), number);
    }
    return {};
}

/// Opened first, compared second: if the number was given away in between, the start time says so.
Result<UniqueFd> open_leader(const store::Record& record) {
    auto pidfd = open_pidfd(record.pid);
    if (!pidfd || !store::is_alive(record))
        return fail(not_running(record.id));
    return pidfd;
}

/// With the first process of a pid namespace all others go; without such a namespace SIGKILL is for all of them.
bool ends_all(const store::Record& record) {
    const auto status = read_file("/proc/" + std::to_string(record.pid) + "/status");
    const auto at = status ? status->find("\nNSpid:") : std::string::npos;
    return at != std::string::npos && status->substr(at + 1, status->find('\n', at + 1) - at - 1).ends_with("\t1");
}

Result<void> signal_one(const store::Records& records, const std::string& id, int number, bool all) {
    const store::Record record = TRY(records.load(id));
    if (all) {
        auto sent = signal_all(record, number);
        return !sent && is_gone(sent.error()) ? Result<void>{} : sent; // nobody is left
    }
    const auto leader = open_leader(record);
    if (number == SIGKILL && !(leader && ends_all(record)) && !record.cgroup.empty()) {
        const auto left = runtime::processes_in(record.cgroup);
        if (left && !left->empty())
            return runtime::kill_cgroup(record.cgroup);
    }
    if (!leader)
        return fail(leader.error());
    auto sent = send_signal(leader->get(), number);
    return !sent && is_gone(sent.error()) ? fail(not_running(id)) : sent;
}

/// The ids that the command line means.
Result<std::vector<std::string>> chosen(const Options& options, const store::Records& records, std::size_t count) {
    const auto& words = options.arguments;
    std::vector<std::string> ids{words.begin(), words.begin() + static_cast<std::ptrdiff_t>(count)};
    if (!options.regex)
        return ids;
    std::vector<std::string> matching;
    for (const std::string& pattern : ids) {
        regex_t compiled{};
        if (::regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NOSUB) != 0)
            return fail(bad_input("'" + pattern + "' is not a regular expression"));
        for (const std::string& id : records.ids())
            if (::regexec(&compiled, id.c_str(), 0, nullptr, 0) == 0)
                matching.push_back(id);
        ::regfree(&compiled);
    }
    return matching;
}

Result<void> await_death(const store::Record& record) {
    for (int attempt = 0; store::is_alive(record); ++attempt) {
        if (attempt == 1000)
            return fail(os_error(ETIMEDOUT, "container '" + record.id + "' does not die"));
        ::poll(nullptr, 0, 10);
    }
    return {};
}

Result<void> remove_one(const store::Records& records, const std::string& id, bool force) {
    auto loaded = records.load(id);
    if (!loaded && force && loaded.error().code == std::errc::no_such_file_or_directory)
        return {}; // as runc: what should be gone is gone
    const store::Record record = TRY(std::move(loaded));
    const auto status = records.status(record);
    if (!force && (status == store::Status::running || status == store::Status::paused))
        return fail(bad_input("container '" + id + "' is " + std::string{to_string(status)},
                              "stop it by 'kill " + id + " KILL' first, or use delete --force"));
    if (!force && status == store::Status::creating)
        return fail(
            bad_input("container '" + id + "' is being created", "if its creator has died, use delete --force"));
    if (status != store::Status::stopped && status != store::Status::creating)
        if (const auto leader = open_leader(record)) {
            [[maybe_unused]] auto sent = send_signal(leader->get(), SIGKILL);
            TRY_VOID(await_death(record));
        }
    return dispose(records, record);
}

} // namespace

Result<int> state(const Options& options) {
    const store::Records records = open_records(options);
    print(to_json(records, TRY(records.load(options.arguments.front()))));
    return 0;
}

Result<int> kill(const Options& options) {
    const store::Records records = open_records(options);
    const std::string signal = options.arguments.size() > 1 ? options.arguments[1] : "SIGTERM";
    const int number = signal == "0" ? 0 : TRY(parse_signal(signal)); // 0 only asks whether it is there
    for (const std::string& id : TRY(chosen(options, records, 1)))
        TRY_VOID(signal_one(records, id, number, options.all));
    return 0;
}

Result<int> remove(const Options& options) {
    const store::Records records = open_records(options);
    for (const std::string& id : TRY(chosen(options, records, options.arguments.size())))
        TRY_VOID(remove_one(records, id, options.force));
    return 0;
}

Result<int> list(const Options& options) {
    // Without --root none has been made yet; one that is named and not there is a mistake.
    if (!options.root.empty() && ::access(options.root.c_str(), F_OK) < 0)
        return fail(os_error(errno, "--root '" + options.root + "'"));
    const store::Records records = open_records(options);
    Json all = Json::array();
    std::vector<std::array<std::string, 6>> table{{"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
    for (const std::string& id : records.ids()) {
        const auto record = records.load(id);
        if (!record)
            continue; // removed meanwhile
        if (options.quiet) {
            ::puts(id.c_str());
            continue;
        }
        Json state = to_json(records, *record);
        table.push_back({id, state["pid"].dump(), state["status"], record->bundle, record->created, record->owner});
        all.push_back(std::move(state));
    }
    if (options.json)
        ::puts(all.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
    else if (!options.quiet)
        print_table(table);
    return 0;
}

} // namespace ctrd::ctr_oci

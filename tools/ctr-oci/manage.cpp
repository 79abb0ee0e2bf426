// state, kill, delete and list.
#include "tools/ctr-oci/commands.hpp"
#include "tools/ctr-oci/launch.hpp"

#include "ctrd/base/names.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/runtime/cgroup.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <poll.h>

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

Error not_running(const std::string& id) {
    return {std::errc::no_such_process, "container '" + id + "' is not running", ""};
}

Result<void> signal_all(const store::Record& record, int number) {
    if (number == SIGKILL)
        return runtime::kill_cgroup(record.cgroup);
    for (const int pid : TRY(runtime::processes_in(record.cgroup)))
        if (const auto pidfd = open_pidfd(pid)) [[maybe_unused]]
            auto sent = send_signal(pidfd->get(), number);
    return {};
}

/// Opened first, compared second: if the number was given away in between, the start time says so.
Result<UniqueFd> open_leader(const store::Record& record) {
    auto pidfd = open_pidfd(record.pid);
    if (!pidfd || !store::is_alive(record))
        return fail(not_running(record.id));
    return pidfd;
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
    const std::string& id = options.arguments.front();
    const int number = TRY(parse_signal(options.arguments.size() > 1 ? options.arguments[1] : "SIGTERM"));
    const store::Record record = TRY(records.load(id));
    if (options.all) {
        TRY_VOID(signal_all(record, number));
        return 0;
    }
    const UniqueFd leader = TRY(open_leader(record));
    auto sent = send_signal(leader.get(), number);
    if (!sent && sent.error().code == std::errc::no_such_process)
        return fail(not_running(id));
    TRY_VOID(std::move(sent));
    return 0;
}

Result<int> remove(const Options& options) {
    const store::Records records = open_records(options);
    for (const std::string& id : options.arguments)
        TRY_VOID(remove_one(records, id, options.force));
    return 0;
}

Result<int> list(const Options& options) {
    const store::Records records = open_records(options);
    Json all = Json::array();
    std::string table = fmt::format("{:<24} {:>8} {:<9} {:<30} {}\n", "ID", "PID", "STATUS", "CREATED", "BUNDLE");
    for (const std::string& id : records.ids()) {
        const auto record = records.load(id);
        if (!record)
            continue; // removed meanwhile
        if (options.quiet) {
            ::puts(id.c_str());
            continue;
        }
        all.push_back(to_json(records, *record));
        table += fmt::format("{:<24} {:>8} {:<9} {:<30} {}\n", id, all.back()["pid"].get<int>(),
                             to_string(records.status(*record)), record->created, record->bundle);
    }
    if (options.json)
        ::puts(all.dump().c_str());
    else if (!options.quiet)
        ::fputs(table.c_str(), stdout);
    return 0;
}

} // namespace ctrd::ctr_oci

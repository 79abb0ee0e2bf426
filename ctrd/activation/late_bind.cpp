#include "ctrd/activation/late_bind.hpp"

#include "ctrd/activation/listener.hpp"
#include "ctrd/activation/record.hpp"
#include "ctrd/base/names.hpp"
#include "ctrd/base/process.hpp"

#include <cerrno>

namespace ctrd::activation {
namespace {

constexpr std::string_view slice_prefix = "/machine.slice/";
constexpr std::string_view unit_prefix = "ctr@";
constexpr std::string_view unit_suffix = ".service";

/// The adopted sockets of a record, as `answer_bind` wants them, with the way back to the record.
struct Adoptable {
    std::vector<Listener> listeners;
    std::vector<std::uint64_t> inodes;
};

Adoptable adoptable(const RunRecord& record) {
    Adoptable result;
    for (const RecordedSocket& socket : record.sockets)
        if (socket.deliver == "adopt") {
            result.listeners.push_back({socket.port, socket.family, socket.type, socket.path});
            result.inodes.push_back(socket.inode);
        }
    return result;
}

/// Without a record there is nothing to adopt, but the payload must not wait for ever.
Result<RunRecord> record_for(int notify_fd, const BindRequest& request, const std::string& container) {
    auto record = read_record(container);
    if (record)
        return record;
    TRY_VOID(reply(notify_fd, request, EADDRNOTAVAIL));
    return fail(std::move(record).context("container '" + container + "': bind of " + what_is_bound(request)).error());
}

} // namespace

std::string container_of_cgroup(std::string_view cgroup) {
    if (!cgroup.starts_with(slice_prefix))
        return {};
    cgroup.remove_prefix(1);
    // Only slices may come before the unit: below it, names are the payload's to choose.
    for (;;) {
        const std::string_view component = cgroup.substr(0, cgroup.find('/'));
        if (component.starts_with(unit_prefix) && component.ends_with(unit_suffix)) {
            const auto name =
                component.substr(unit_prefix.size(), component.size() - unit_prefix.size() - unit_suffix.size());
            return is_container_name(name) ? std::string{name} : std::string{};
        }
        if (!component.ends_with(".slice") || component.size() == cgroup.size())
            return {};
        cgroup.remove_prefix(component.size() + 1);
    }
}

Result<std::optional<LateBind>> answer_late_bind(int notify_fd) {
    const auto request = TRY(receive_bind(notify_fd));
    if (!request)
        return std::nullopt;
    LateBind result;
    result.bound = what_is_bound(*request);
    const auto cgroup = cgroup_of(request->thread);
    if (!still_waits(notify_fd, *request)) {
        result.outcome = Outcome::gone;
        return result;
    }
    result.container = cgroup ? container_of_cgroup(*cgroup) : std::string{};
    if (result.container.empty() || request->family == 0) {
        TRY_VOID(let_continue(notify_fd, *request));
        return result;
    }
    const RunRecord record = TRY(record_for(notify_fd, *request, result.container));
    const Adoptable own = adoptable(record);
    const auto source = [&](std::size_t index) { return take_listener(own.inodes[index], record.cgroup); };
    const Answer answer = TRY(answer_bind(notify_fd, *request, own.listeners, source)
                                  .context("container '" + result.container + "': bind of " + what_is_bound(*request)));
    result.outcome = answer.outcome;
    return result;
}

Result<void> restore_backlogs(std::string_view container) {
    const RunRecord record = TRY(read_record(container));
    for (const RecordedSocket& socket : record.sockets) {
        if (socket.deliver != "adopt" || socket.type != SOCK_STREAM)
            continue;
        const UniqueFd listener = TRY(take_listener(socket.inode, record.cgroup));
        TRY_VOID(restore_backlog(listener.get()).context("socket '" + socket.name + "'"));
    }
    return {};
}

} // namespace ctrd::activation

// `ctr-run clean` (ExecStopPost=): whatever way the container ended, nothing of it stays.
#include "tools/ctr-run/commands.hpp"

#include "ctrd/activation/listener.hpp"
#include "ctrd/activation/record.hpp"
#include "tools/ctr-run/unit.hpp"

#include <sys/socket.h>

namespace ctrd::run {
namespace {

/// When the service has stopped, systemd polls the listener again; one that a payload has shut down would fail the
/// socket unit, and the port would be dead. The record says which ones the payload had.
void listen_again(const std::string& name) {
    const auto record = activation::read_record(name);
    if (!record)
        return;
    for (const auto& socket : record->sockets) {
        const auto listener = activation::take_listener(socket.inode, record->cgroup);
        const auto facts = listener ? activation::look_at(listener->get()) : Result<activation::SocketFacts>{};
        if (!listener || !facts || facts->listening || facts->type != SOCK_STREAM)
            continue;
        auto restored = activation::restore_backlog(listener->get());
        if (!restored)
            print_warning(name, std::move(restored).context("socket '" + socket.name + "'").error());
    }
}

} // namespace

Result<void> clean(const std::string& name) {
    listen_again(name);
    auto removed = activation::remove_record(name);
    const UnitCgroup cgroup = TRY(unit_cgroup(name));
    TRY_VOID(remove_payload_cgroup(cgroup));
    return removed;
}

} // namespace ctrd::run

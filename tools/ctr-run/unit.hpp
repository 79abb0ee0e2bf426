// Our own unit's cgroup and the payload's below it.
#pragma once

#include "ctrd/base/notify.hpp"
#include "ctrd/base/result.hpp"

#include <sys/types.h>

#include <chrono>

namespace ctrd::run {

struct UnitCgroup {
    std::string mount;   // "/sys/fs/cgroup"
    std::string unit;    // "/machine.slice/ctr@web.service"
    std::string payload; // below it, "/machine.slice/ctr@web.service/payload"

    [[nodiscard]] std::string unit_folder() const { return mount + unit; }
    [[nodiscard]] std::string payload_folder() const { return mount + payload; }
};

/// From our own cgroup; an error where it is not that of the container's unit.
Result<UnitCgroup> unit_cgroup(const std::string& container);

/// SurviveFinalKillSignal= (systemd 255): at a soft-reboot systemd looks for this mark at the very cgroup of a process,
/// and sets it on the unit's.
void copy_survival(const std::string& from, const std::string& to);

/// The payload's cgroup, new and empty: what an interrupted stop may have left in it is killed first.
Result<void> make_payload_cgroup(const UnitCgroup& cgroup);

/// To a systemd that is root as `uid` only: it makes groups in it and moves its processes, and sets no limit of its
/// own.
Result<void> delegate_payload_cgroup(const UnitCgroup& cgroup, uid_t uid, gid_t gid);

/// systemd-oomd marks the cgroup that it has killed, the payload's, and systemd looks for that mark (which becomes the
/// unit's Result=oom-kill) at the unit's. The payload may have forged it: it is about that container's own end.
void tell_oomd_kill(const UnitCgroup& cgroup);

/// Kills what is in it and removes it with all that was made below. No error where it is gone already.
Result<void> remove_payload_cgroup(const UnitCgroup& cgroup);

/// Not before systemd knows whose exit status counts may the payload run: it could have ended by then. `patience`: what
/// the container's whole start may take, since a manager that starts hundreds at once answers late.
Result<void> tell_main_pid(const Notifier& manager, pid_t leader, std::chrono::milliseconds patience);

} // namespace ctrd::run

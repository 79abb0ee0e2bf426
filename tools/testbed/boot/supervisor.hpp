// The process between the launcher and the bed's systemd.
//
//   launcher ── SOCK_SEQPACKET ── supervisor ── clone3 ── systemd (PID 1 of the bed)
//
//   supervisor -> launcher   Booted + pidfd of PID 1     the command may run
//   supervisor -> launcher   Ended                       PID 1 is gone (a failed boot, a poweroff)
//   launcher   -> supervisor end of file                 tear everything down
//
// The launcher may be SIGKILLed at any moment: then the supervisor sees the end of file. If the supervisor is
// killed, PID 1 dies by its parent-death signal and takes every process and mount of the bed along; only an empty
// cgroup is left, which the launcher, or else the next bed, removes.
#pragma once

#include "tools/testbed/boot/guest.hpp"

#include <sys/types.h>

namespace testbed {

enum class BedEvent : int { booted = 1, ended = 2 };

struct BedMessage {
    BedEvent event{};
    pid_t init = 0;
    char cgroup[512] = {}; // the bed's cgroup, as the host names it
};

[[noreturn]] void supervise(const GuestSpec& spec, UniqueFd launcher);

} // namespace testbed

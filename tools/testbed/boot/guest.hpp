// The file system tree that the bed's systemd sees, and the way into it.
#pragma once

#include "tools/testbed/boot/util.hpp"

#include <vector>

namespace testbed {

struct Bind {
    std::string source;
    std::string target;
    bool read_only = false;
};

struct GuestSpec {
    std::vector<std::string> lowers; // uppermost first
    std::vector<Bind> binds;
    std::string mount_point; // an existing empty folder; every bed mounts over it in its own mount namespace
    std::string hostname = "testbed";
};

struct Guest {
    std::string root; // the mounted tree, in the supervisor's mount namespace
    UniqueFd notify;  // receives PID 1's sd_notify datagrams
    UniqueFd console; // the master of /dev/console
};

// In the supervisor, after it has a mount namespace of its own.
Guest build_guest(const GuestSpec& spec);

// In the new namespaces: finish the tree, make it `/`, become systemd.
[[noreturn]] void enter_guest_and_exec_init(const GuestSpec& spec, const std::string& root);

} // namespace testbed

// What a caller of Exec asks for, checked at the edge.
#pragma once

#include "ctrd/base/result.hpp"

#include <systemd/sd-bus.h>

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <vector>

namespace ctrd::bus {

struct ExecRequest {
    std::vector<std::string> args{};
    std::vector<std::string> environment{};
    std::string user{};
    std::string directory{};
    int console_socket{-1}; // these belong to the message
    std::array<int, 3> stdio{-1, -1, -1};
};

/// The arguments "asa{sv}hhh" of the call. An error is the caller's fault.
Result<ExecRequest> read_exec_request(sd_bus_message* call);

/// The rules for everything but the descriptors.
Result<void> check_exec_request(const ExecRequest& request);

/// A folder in a payload's hands would be a way out of its rootfs ("..").
Result<void> check_stdio(int fd);

/// What `ctr-run exec` reads.
std::string to_json(const ExecRequest& request, pid_t leader, std::uint64_t leader_start);

} // namespace ctrd::bus

// What a caller of CopyTo, CopyFrom or BindMount asks for, checked at the edge.
#pragma once

#include "ctrd/base/result.hpp"

#include <systemd/sd-bus.h>

#include <sys/types.h>

#include <cstdint>

namespace ctrd::bus {

struct CopyRequest {
    std::string path{}; // in the container; absolute
    std::string name{}; // CopyTo: what it is called if `path` is a folder
    bool single{false}; // CopyTo: one file's bytes instead of a tar stream
    std::uint32_t mode{0644};
    int data{-1}; // belongs to the message
};

struct BindRequest {
    std::string source{}; // on the host; absolute
    std::string target{}; // in the container; absolute
    bool read_only{false};
    bool make_target{false};
};

/// The arguments "sha{sv}" of CopyTo and "sh" of CopyFrom, "ssa{sv}" of BindMount. An error is the caller's fault.
Result<CopyRequest> read_copy_to(sd_bus_message* call);
Result<CopyRequest> read_copy_from(sd_bus_message* call);
Result<BindRequest> read_bind(sd_bus_message* call);

/// What the helpers read.
std::string to_json(const CopyRequest& request, pid_t leader, std::uint64_t leader_start);
std::string to_json(const BindRequest& request, pid_t leader, std::uint64_t leader_start);

} // namespace ctrd::bus

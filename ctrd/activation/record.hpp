// /run/ctrd/run/NAME.json: what ctr-run leaves for those who come after it while the container runs.
#pragma once

#include "ctrd/base/result.hpp"

#include <sys/socket.h>
#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace ctrd::activation {

struct RecordedSocket {
    std::string name{};    // FileDescriptorName
    std::string deliver{}; // "adopt" or "pass"
    std::uint64_t inode{0};
    int family{0};
    std::uint16_t port{0};      // what the payload binds; 0 where it is passed, or a path
    std::uint16_t host_port{0}; // where clients connect; 0 where it is not TCP
    int type{SOCK_STREAM};      // or SOCK_DGRAM
    std::string path{};         // what the payload binds
};

struct RunRecord {
    std::string name{};
    pid_t leader{0};
    std::uint64_t leader_start{0}; // ctrd::start_time of the leader: the pid alone may be another's by now
    std::string cgroup{};          // of the payload, below the cgroup mount: "/machine.slice/ctr@web.service/payload"
    std::vector<RecordedSocket> sockets{};
    /// Or "created": all but its program, which waits for the first connection; "stopped": the same, which is not to
    /// wait any more.
    std::string phase{"running"};
    std::uint64_t socket_cgroup{0}; // the id of that in which the IP sockets were made; 0: there are none
    std::uint64_t terminal{0};      // st_dev of the terminal's master, which is its devpts' own; 0: it has no terminal
    std::uint64_t output{0};        // inode of the pipe that is its standard output and error; 0: there is none
};

std::string record_path(std::string_view container);
std::string to_json(const RunRecord& record);
Result<RunRecord> parse_record(std::string_view json);

Result<void> write_record(const RunRecord& record);
/// ENOENT: the container does not run.
Result<RunRecord> read_record(std::string_view container);
/// No error where there is none.
Result<void> remove_record(std::string_view container);

} // namespace ctrd::activation

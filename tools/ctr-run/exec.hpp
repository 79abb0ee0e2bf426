// What ctrd asks of `ctr-run exec`.
#pragma once

#include "ctrd/base/result.hpp"

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace ctrd::run {

struct ExecRequest {
    pid_t leader{0};
    std::uint64_t leader_start{0};
    std::vector<std::string> args{};
    std::vector<std::string> env{}; // "NAME=value"
    std::string user{};
    std::string cwd{};
    bool terminal{false};
    /// The terminal of the session, its controlling one: "stdin", "/dev/pts/N" of the container, or none.
    std::string tty{};
    bool login{false}; // as a login gives it: USER and LOGNAME, and the user's home as working directory
    bool again{false}; // whenever it ends, until nobody is at the other end of the terminal
};

Result<ExecRequest> parse_exec_request(const std::string& json);

/// Replaces the variable of that name, or adds it.
void set_variable(std::vector<std::string>& env, const std::string& variable);

} // namespace ctrd::run

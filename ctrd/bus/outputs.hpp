// The output of all containers whose standard output and error are a pipe, and run. The pipes are kept by the units'
// descriptor stores: a ctrd that comes back finds them there.
#pragma once

#include "ctrd/bus/by_container.hpp"
#include "ctrd/bus/output.hpp"

#include <vector>

namespace ctrd::bus {

class Outputs {
public:
    explicit Outputs(sd_event* event) : event_{event} {}
    Outputs(const Outputs&) = delete;
    Outputs& operator=(const Outputs&) = delete;

    /// It takes the place of an earlier run's. `leader`: who is said to have written it.
    void add(const std::string& container, pid_t leader, UniqueFd pipe);
    /// The container has ended.
    void end(const std::string& container) { outputs_.end(container); }

    /// Those that the service manager keeps, each for the container whose record names it.
    void recover(pid_t manager, const std::vector<std::string>& containers);

private:
    sd_event* event_;
    UniqueFd journal_{};
    ByContainer<Output> outputs_{};
};

bool is_pipe(int fd) noexcept;

} // namespace ctrd::bus

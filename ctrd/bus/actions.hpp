// What can be done with a container, for the manager's methods and the container's own alike: look it up, authorise,
// do it without waiting, answer when it is done. Each returns what a method handler returns.
#pragma once

#include "ctrd/bus/authority.hpp"
#include "ctrd/bus/exec.hpp"
#include "ctrd/bus/registry.hpp"
#include "machined-plugin/units.hpp"

namespace ctrd::bus {

class Actions {
public:
    Actions(const Registry& registry, systemd::Units& units, Authority& authority, Executions& executions)
        : registry_{registry}, units_{units}, authority_{authority}, executions_{executions} {}

    int start(sd_bus_message* call, const std::string& name);
    int stop(sd_bus_message* call, const std::string& name);
    int restart(sd_bus_message* call, const std::string& name);
    int kill(sd_bus_message* call, const std::string& name, const std::string& whom, int signal);
    /// Reads its other arguments from the call.
    int exec(sd_bus_message* call, const std::string& name);

    [[nodiscard]] const Registry& registry() const { return registry_; }

private:
    void answer_start(sd_bus_message* call, const std::string& name, const Result<std::string>& job) const;

    const Registry& registry_;
    systemd::Units& units_;
    Authority& authority_;
    Executions& executions_;
};

/// The container whose cgroup the process is in; empty if none.
std::string container_of_process(pid_t pid);

} // namespace ctrd::bus

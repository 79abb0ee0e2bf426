// What can be done with a container, for the manager's methods and the container's own alike: look it up, authorise,
// do it without waiting, answer when it is done. Each returns what a method handler returns.
#pragma once

#include "ctrd/bus/authority.hpp"
#include "ctrd/bus/exec.hpp"
#include "ctrd/bus/holds.hpp"
#include "ctrd/bus/registry.hpp"
#include "ctrd/bus/terminals.hpp"
#include "ctrd/bus/waits.hpp"
#include "machined-plugin/units.hpp"

namespace ctrd::bus {

class Actions {
public:
    Actions(Registry& registry, systemd::Units& units, Authority& authority, Executions& executions, Callers& callers,
            Terminals& terminals)
        : registry_{registry}, units_{units}, authority_{authority}, executions_{executions}, callers_{callers},
          terminals_{terminals}, waits_{registry, callers} {}

    int start(sd_bus_message* call, const std::string& name);
    int stop(sd_bus_message* call, const std::string& name);
    int restart(sd_bus_message* call, const std::string& name);
    int kill(sd_bus_message* call, const std::string& name, const std::string& whom, int signal);
    /// Reads its other arguments from the call.
    int exec(sd_bus_message* call, const std::string& name);

    // actions_live.cpp: what changes or shows a running one. They read their other arguments from the call.
    int pause(sd_bus_message* call, const std::string& name);
    int resume(sd_bus_message* call, const std::string& name);
    int hold(sd_bus_message* call, const std::string& name);
    int release(sd_bus_message* call, const std::string& name);
    int wait(sd_bus_message* call, const std::string& name);
    int set_properties(sd_bus_message* call, const std::string& name);
    int stats(sd_bus_message* call, const std::string& name);
    int all_stats(sd_bus_message* call);
    int processes(sd_bus_message* call, const std::string& name);

    // actions_inside.cpp: what a helper does inside of one.
    int copy_to(sd_bus_message* call, const std::string& name);
    int copy_from(sd_bus_message* call, const std::string& name);
    int bind_mount(sd_bus_message* call, const std::string& name);
    /// To its terminal.
    int attach(sd_bus_message* call, const std::string& name);

    // actions_journal.cpp: what the journal has. They read their other arguments from the call.
    int logs(sd_bus_message* call, const std::string& name);
    int events(sd_bus_message* call);

    // actions_declare.cpp: declarations until the next boot. They read their other arguments from the call.
    int create(sd_bus_message* call, const std::string& name);
    int rename(sd_bus_message* call, const std::string& name);
    int remove(sd_bus_message* call, const std::string& name);

    /// The registry has told of a change.
    void changed(const Container& container);
    /// What a ctrd that has been killed held goes on.
    void recover_holds();

    [[nodiscard]] const Registry& registry() const { return registry_; }

private:
    void thaw_held(const std::string& name);
    void set_frozen(sd_bus_message* call, const std::string& name, bool frozen);
    int copy(sd_bus_message* call, const std::string& name, bool in);
    void run_helper(sd_bus_message* call, const CallerRef& caller, const std::string& name, const Job& job);
    void answer_start(sd_bus_message* call, const std::string& name, const Result<std::string>& job) const;
    void reply_declared(sd_bus_message* call, const std::string& name);

    Registry& registry_;
    systemd::Units& units_;
    Authority& authority_;
    Executions& executions_;
    Callers& callers_;
    Terminals& terminals_;
    Waits waits_;
    Holds holds_{[this](const std::string& name) { thaw_held(name); }};
};

int reply_not_running(sd_bus_message* call, const std::string& name);

/// The folder of a running container's unit cgroup, below its mount; empty where it has none.
std::string cgroup_folder_of(const Container& container);
/// The same as the kernel names it: "/machine.slice/ctr@web.service".
std::string cgroup_of_container(const Container& container);

/// The container whose cgroup the process is in; empty if none.
std::string container_of_process(pid_t pid);

} // namespace ctrd::bus

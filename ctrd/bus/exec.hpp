// Exec: one more process in a running container, made by `ctr-run exec`, which waits for it. ctrd only keeps the call
// and answers it when ctr-run has ended, with its exit code.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/bus/exec_request.hpp"
#include "machined-plugin/bus_types.hpp"

#include <systemd/sd-event.h>

#include <functional>
#include <memory>
#include <set>

namespace ctrd::bus {

class Executions {
public:
    Executions(sd_bus* bus, sd_event* event);
    ~Executions();
    Executions(const Executions&) = delete;
    Executions& operator=(const Executions&) = delete;

    /// Told before a process is made in a container.
    void on_begin(std::function<void(const std::string& container)> begin) { begin_ = std::move(begin); }
    [[nodiscard]] bool any_in(const std::string& container) const;

    /// Runs it in `container`, whose first process is `leader`, and answers the call.
    void run(sd_bus_message* call, uid_t caller, const std::string& container, pid_t leader,
             const ExecRequest& request);

private:
    struct Execution;
    Result<void> start(Execution& execution, int request_fd, const ExecRequest& request);
    Result<void> track_caller(Execution& execution);
    Result<void> check_room(uid_t caller) const;
    static int on_exit(sd_event_source* source, const siginfo_t* info, void* userdata) noexcept;
    static int on_caller_gone(sd_bus_track* track, void* userdata) noexcept;

    sd_bus* bus_;
    sd_event* event_;
    std::function<void(const std::string& container)> begin_{};
    std::set<std::unique_ptr<Execution>> running_;
};

} // namespace ctrd::bus

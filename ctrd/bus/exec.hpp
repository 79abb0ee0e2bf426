// Helpers: what has to be done inside of a container, or may wait for a disk, is done by a short-lived program
// (`ctr-run exec`, `ctr-copy`, journalctl ...), never in ctrd's own process. ctrd only keeps the call and answers it
// when the helper has ended.
#pragma once

#include "ctrd/base/fd.hpp"
#include "ctrd/bus/callers.hpp"

#include <systemd/sd-event.h>

#include <sys/types.h>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace ctrd::bus {

/// One run of a helper: `PROGRAM VERB CONTAINER`, with the request in a memory file on descriptor 3.
struct Job {
    const char* program{nullptr};
    const char* verb{nullptr};
    std::vector<std::string> arguments{};                             // in place of VERB and CONTAINER
    std::vector<std::pair<int, int>> fds{};                           // ours, and the helper's number for it
    std::function<std::string(std::uint64_t leader_start)> request{}; // JSON
    /// Its exit status says whether it is done, and its stderr why not; else the status itself is the answer ("i").
    bool explains{true};
    /// Anybody may ask for it, so that only few of these run at once.
    bool is_for_all{false};
    /// Answers the call when all is done; without it the answer is empty.
    std::function<void(sd_bus_message* call)> done{};
};

constexpr const char* ctr_run_program = CTRD_LIBEXECDIR "/ctr-run";
constexpr const char* ctr_copy_program = CTRD_LIBEXECDIR "/ctr-copy";
constexpr const char* ctr_declare_program = CTRD_LIBEXECDIR "/ctr-declare";
constexpr const char* journalctl_program = "/usr/bin/journalctl";

class Executions {
public:
    explicit Executions(sd_event* event);
    ~Executions();
    Executions(const Executions&) = delete;
    Executions& operator=(const Executions&) = delete;

    /// Told before a process is made in a container.
    void on_begin(std::function<void(const std::string& container)> begin) { begin_ = std::move(begin); }
    [[nodiscard]] bool any_in(const std::string& container) const;

    /// Runs it in `container`, whose first process is `leader`, and answers the call.
    void run(sd_bus_message* call, const CallerRef& caller, const std::string& container, pid_t leader, const Job& job);
    /// Runs it beside the containers: `container` is the one that it is about; empty: all. Its request is given leader
    /// 0.
    void run_apart(sd_bus_message* call, const CallerRef& caller, const std::string& container, const Job& job);

private:
    struct Execution;
    void launch(sd_bus_message* call, const CallerRef& caller, const std::string& container, std::uint64_t leader_start,
                const Job& job);
    Result<void> start(Execution& execution, int request_fd, const Job& job);
    static void answer(const Execution& execution, int status);
    Result<void> check_room(uid_t caller, bool is_for_all) const;
    static int on_exit(sd_event_source* source, const siginfo_t* info, void* userdata) noexcept;
    static void on_caller_gone(const Execution& execution);

    sd_event* event_;
    std::function<void(const std::string& container)> begin_{};
    std::set<std::unique_ptr<Execution>> running_;
};

} // namespace ctrd::bus

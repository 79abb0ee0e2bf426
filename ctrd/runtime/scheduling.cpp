#include "ctrd/runtime/scheduling.hpp"

#include "ctrd/base/file.hpp"

#include <fmt/format.h>

#include <sys/resource.h>
#include <sys/syscall.h>

#include <cerrno>

namespace ctrd::runtime {
namespace {

constexpr int ioprio_who_process = 1; // <linux/ioprio.h> is no C++ everywhere

/// What sched_setattr(2) takes; <linux/sched/types.h> and <sched.h> can't be included together.
struct SchedulerAttributes {
    std::uint32_t size{sizeof(SchedulerAttributes)};
    std::uint32_t policy{0};
    std::uint64_t flags{0};
    std::int32_t nice{0};
    std::uint32_t priority{0};
    std::uint64_t runtime{0};
    std::uint64_t deadline{0};
    std::uint64_t period{0};
};

Result<void> set_scheduler(pid_t pid, const oci::Scheduler& scheduler) {
    SchedulerAttributes attr;
    attr.policy = scheduler.policy;
    attr.flags = scheduler.flags;
    attr.nice = scheduler.nice;
    attr.priority = scheduler.priority;
    attr.runtime = scheduler.runtime;
    attr.deadline = scheduler.deadline;
    attr.period = scheduler.period;
    if (::syscall(SYS_sched_setattr, pid, &attr, 0U) == 0)
        return {};
    return fail(os_error(errno, "process.scheduler: cannot set " + scheduler.policy_name,
                         errno == EPERM    ? "it takes CAP_SYS_NICE, and for real-time policies a host that allows them"
                         : errno == EINVAL ? "see sched_setattr(2) for which priority, nice value and times go with it"
                                           : ""));
}

} // namespace

Error limit_error(int err, const oci::Rlimit& limit) {
    return os_error(err, fmt::format("cannot set {} to {}:{}", limit.type, limit.soft, limit.hard),
                    err == EPERM ? "raising a hard limit takes CAP_SYS_RESOURCE" : "");
}

Result<void> set_limits(pid_t pid, const oci::Process& process) {
    for (const auto& limit : process.rlimits) {
        const rlimit value{limit.soft, limit.hard};
        if (::prlimit(pid, static_cast<__rlimit_resource>(limit.resource), &value, nullptr) < 0)
            return fail(limit_error(errno, limit));
    }
    return {};
}

Result<void> set_scheduling(pid_t pid, const oci::Process& process) {
    if (process.oom_score_adj)
        TRY_VOID(write_control(fmt::format("/proc/{}/oom_score_adj", pid), std::to_string(*process.oom_score_adj))
                     .context("process.oomScoreAdj"));
    if (process.scheduler)
        TRY_VOID(set_scheduler(pid, *process.scheduler));
    if (process.io_priority && ::syscall(SYS_ioprio_set, ioprio_who_process, pid, process.io_priority->value) < 0)
        return fail(os_error(errno, "process.ioPriority: cannot set it",
                             errno == EPERM ? "IOPRIO_CLASS_RT takes CAP_SYS_ADMIN or CAP_SYS_NICE" : ""));
    return {};
}

} // namespace ctrd::runtime

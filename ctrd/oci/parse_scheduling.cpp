#include "ctrd/oci/parse_scheduling.hpp"

#include "ctrd/oci/names.hpp"

#include <linux/mempolicy.h>
#include <linux/sched.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace ctrd::oci {
namespace {

constexpr int mpol_preferred_many = 5;         // of Linux 5.15
constexpr int mpol_weighted_interleave = 6;    // of Linux 6.9
constexpr int mpol_f_numa_balancing = 1 << 13; // of Linux 5.12

constexpr std::array policies{
    Named{"SCHED_OTHER", SCHED_NORMAL},      Named{"SCHED_FIFO", SCHED_FIFO}, Named{"SCHED_RR", SCHED_RR},
    Named{"SCHED_BATCH", SCHED_BATCH},       Named{"SCHED_ISO", 4},           Named{"SCHED_IDLE", SCHED_IDLE},
    Named{"SCHED_DEADLINE", SCHED_DEADLINE},
};
constexpr std::array scheduler_flags{
    Named{"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
    Named{"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
    Named{"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
    Named{"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
    Named{"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
    Named{"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
    Named{"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
};
// ioprio_set(2); <linux/ioprio.h> of Debian's 6.1.192 has a parameter named `class` and is no C++.
constexpr std::array io_classes{Named{"IOPRIO_CLASS_RT", 1}, Named{"IOPRIO_CLASS_BE", 2},
                                Named{"IOPRIO_CLASS_IDLE", 3}};
constexpr std::array memory_modes{
    Named{"MPOL_DEFAULT", static_cast<int>(MPOL_DEFAULT)},
    Named{"MPOL_BIND", static_cast<int>(MPOL_BIND)},
    Named{"MPOL_INTERLEAVE", static_cast<int>(MPOL_INTERLEAVE)},
    Named{"MPOL_WEIGHTED_INTERLEAVE", mpol_weighted_interleave},
    Named{"MPOL_PREFERRED", static_cast<int>(MPOL_PREFERRED)},
    Named{"MPOL_PREFERRED_MANY", mpol_preferred_many},
    Named{"MPOL_LOCAL", static_cast<int>(MPOL_LOCAL)},
};
constexpr std::array memory_flags{
    Named{"MPOL_F_NUMA_BALANCING", mpol_f_numa_balancing},
    Named{"MPOL_F_RELATIVE_NODES", static_cast<int>(MPOL_F_RELATIVE_NODES)},
    Named{"MPOL_F_STATIC_NODES", static_cast<int>(MPOL_F_STATIC_NODES)},
};

Result<std::vector<unsigned>> read_numbers(const Reader& in, const char* key) {
    const std::string text = TRY(in.string(key));
    return parse_number_list(text, in.at(key));
}

Result<void> check_scheduler(const Reader& in, const Scheduler& scheduler) {
    const bool realtime = scheduler.policy == SCHED_FIFO || scheduler.policy == SCHED_RR;
    const bool deadline = scheduler.policy == SCHED_DEADLINE;
    if (scheduler.policy == 4)
        return fail(bad_input(in.at("policy") + ": SCHED_ISO is not a policy that Linux has"));
    if (scheduler.nice < -20 || scheduler.nice > 19)
        return fail(bad_input(in.at("nice") + " is not between -20 and 19"));
    if (scheduler.priority != 0 && !realtime)
        return fail(bad_input(in.at("priority") + " goes with SCHED_FIFO and SCHED_RR only"));
    if (!deadline && (scheduler.runtime | scheduler.deadline | scheduler.period) != 0)
        return fail(bad_input(in.place() + ": runtime, deadline and period go with SCHED_DEADLINE only"));
    return {};
}

} // namespace

Result<std::vector<unsigned>> parse_number_list(const std::string& text, const std::string& place) {
    constexpr unsigned last = 8191;
    std::vector<unsigned> result;
    const char* at = text.data();
    const char* const end = at + text.size();
    while (at < end) {
        unsigned from = 0;
        auto parsed = std::from_chars(at, end, from);
        unsigned to = from;
        if (parsed.ec == std::errc{} && parsed.ptr < end && *parsed.ptr == '-')
            parsed = std::from_chars(parsed.ptr + 1, end, to);
        if (parsed.ec != std::errc{} || to < from || to > last || (parsed.ptr < end && *parsed.ptr != ',') ||
            parsed.ptr + 1 == end)
            return fail(bad_input(place + " is not a list of numbers like '0-3,7': '" + text + "'"));
        for (unsigned number = from; number <= to; ++number)
            result.push_back(number);
        at = parsed.ptr + 1;
    }
    std::ranges::sort(result);
    const auto repeated = std::ranges::unique(result);
    result.erase(repeated.begin(), repeated.end());
    return result;
}

Result<std::optional<Scheduler>> read_scheduler(const Reader& process) {
    const auto in = TRY(process.object("scheduler"));
    if (!in)
        return std::optional<Scheduler>{};
    Scheduler scheduler;
    scheduler.policy_name = TRY(in->required_string("policy"));
    scheduler.policy = static_cast<std::uint32_t>(TRY(named(policies, *in, "policy", scheduler.policy_name)));
    scheduler.nice = TRY(in->integer<std::int32_t>("nice")).value_or(0);
    scheduler.priority = TRY(in->integer<std::uint32_t>("priority")).value_or(0);
    for (const std::string& flag : TRY(in->strings("flags")))
        scheduler.flags |= static_cast<std::uint64_t>(TRY(named(scheduler_flags, *in, "flags", flag)));
    scheduler.runtime = TRY(in->integer<std::uint64_t>("runtime")).value_or(0);
    scheduler.deadline = TRY(in->integer<std::uint64_t>("deadline")).value_or(0);
    scheduler.period = TRY(in->integer<std::uint64_t>("period")).value_or(0);
    TRY_VOID(check_scheduler(*in, scheduler));
    return std::optional{scheduler};
}

Result<std::optional<IoPriority>> read_io_priority(const Reader& process) {
    const auto in = TRY(process.object("ioPriority"));
    if (!in)
        return std::optional<IoPriority>{};
    const int io_class = TRY(required_named(io_classes, *in, "class"));
    const int priority = TRY(in->integer<int>("priority")).value_or(0);
    if (priority < 0 || priority > 7)
        return fail(bad_input(in->at("priority") + " is not between 0 and 7"));
    return std::optional{IoPriority{io_class << 13 | priority}};
}

Result<ExecCpuAffinity> read_exec_cpu_affinity(const Reader& process) {
    ExecCpuAffinity result;
    if (const auto in = TRY(process.object("execCPUAffinity"))) {
        result.initial = TRY(read_numbers(*in, "initial"));
        result.final = TRY(read_numbers(*in, "final"));
    }
    return result;
}

Result<std::optional<MemoryPolicy>> read_memory_policy(const Reader& linux_object) {
    const auto in = TRY(linux_object.object("memoryPolicy"));
    if (!in)
        return std::optional<MemoryPolicy>{};
    MemoryPolicy policy;
    policy.mode = TRY(required_named(memory_modes, *in, "mode"));
    const bool without_nodes = policy.mode == MPOL_DEFAULT || policy.mode == MPOL_LOCAL;
    for (const std::string& flag : TRY(in->strings("flags")))
        policy.mode |= TRY(named(memory_flags, *in, "flags", flag));
    policy.nodes = TRY(read_numbers(*in, "nodes"));
    if (without_nodes && !policy.nodes.empty())
        return fail(bad_input(in->at("nodes") + ": MPOL_DEFAULT and MPOL_LOCAL take no nodes"));
    return std::optional{std::move(policy)};
}

} // namespace ctrd::oci

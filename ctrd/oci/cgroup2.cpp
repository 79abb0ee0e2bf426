#include "ctrd/oci/cgroup2.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ctrd::oci {
namespace {

constexpr std::uint64_t default_period = 100000; // the kernel's own

std::string or_max(std::int64_t value) { return value < 0 ? "max" : std::to_string(value); }

using Controls = std::vector<Control>;

/// config.json counts memory and swap together, the kernel swap alone. Absent: leave it as it is.
Result<std::optional<std::int64_t>> swap_alone(const Memory& memory, const CurrentLimits& current) {
    using Swap = std::optional<std::int64_t>;
    const auto limit = memory.limit ? memory.limit : current.memory;
    if (!memory.swap) {
        if (memory.limit == -1)
            return Swap{-1}; // who asks for all memory does not mean to be held by swap
        const bool had_both = current.memory.value_or(-1) >= 0 && current.swap.value_or(-1) >= 0;
        if (!memory.limit || !had_both)
            return Swap{};
        const std::int64_t total = *current.memory + *current.swap;
        if (total < *memory.limit)
            return fail(
                bad_input(fmt::format("memory.limit {} would be above the limit of memory and swap together, {}",
                                      *memory.limit, total),
                          "set memory.swap too"));
        return Swap{total - *memory.limit};
    }
    if (*memory.swap < 0 || limit == -1)
        return memory.swap;
    if (!limit)
        return fail(
            bad_input("linux.resources.memory.swap limits memory and swap together: it needs memory.limit too"));
    if (*memory.swap < *limit)
        return fail(bad_input("linux.resources.memory.swap is below memory.limit, but limits both together"));
    return Swap{*memory.swap - *limit};
}

Result<void> add_memory(const Memory& memory, const CurrentLimits& current, Controls& out) {
    // A kernel without swap accounting has no such file, and nothing to limit or to let go.
    if (const auto swap = TRY(swap_alone(memory, current)))
        out.push_back({"memory.swap.max", or_max(*swap), *swap <= 0});
    if (memory.limit)
        out.push_back({"memory.max", or_max(*memory.limit)});
    if (memory.reservation)
        out.push_back({"memory.low", or_max(*memory.reservation)});
    return {};
}

void add_throttles(const std::vector<ThrottleDevice>& devices, const char* key, Controls& out) {
    for (const auto& device : devices)
        out.push_back({"io.max", fmt::format("{}:{} {}={}", device.major, device.minor, key,
                                             device.rate == 0 ? "max" : std::to_string(device.rate))});
}

void add_block_io(const BlockIo& io, Controls& out) {
    // BFQ has weights of its own, on the scale of cgroup v1; else they are the io controller's.
    const auto add_weight = [&](const std::string& prefix, std::uint16_t weight) {
        out.push_back({"io.bfq.weight", fmt::format("{}{}", prefix, weight), false, "io.weight",
                       fmt::format("{}{}", prefix, io_weight(weight))});
    };
    if (io.weight)
        add_weight("", *io.weight);
    for (const auto& device : io.weight_devices)
        add_weight(fmt::format("{}:{} ", device.major, device.minor), device.weight);
    add_throttles(io.read_bytes, "rbps", out);
    add_throttles(io.write_bytes, "wbps", out);
    add_throttles(io.read_operations, "riops", out);
    add_throttles(io.write_operations, "wiops", out);
}

void add_cpu(const Cpu& cpu, const CurrentLimits& current, Controls& out) {
    if (cpu.idle)
        out.push_back({"cpu.idle", std::to_string(*cpu.idle)});
    // An idle cgroup has the least weight there is, and takes no other.
    if (cpu.shares.value_or(0) != 0 && cpu.idle != 1)
        out.push_back({"cpu.weight", std::to_string(cpu_weight(*cpu.shares))});
    const std::int64_t quota = cpu.quota.value_or(0);
    const std::uint64_t period = cpu.period.value_or(0);
    if (quota != 0 || period != 0) {
        const std::int64_t used_quota = quota != 0 ? quota : current.quota.value_or(-1);
        const std::uint64_t used_period = period != 0 ? period : current.period.value_or(default_period);
        out.push_back({"cpu.max", fmt::format("{} {}", or_max(used_quota), used_period)});
    }
    if (cpu.burst)
        out.push_back({"cpu.max.burst", std::to_string(*cpu.burst)});
    if (!cpu.cpus.empty())
        out.push_back({"cpuset.cpus", cpu.cpus});
    if (!cpu.mems.empty())
        out.push_back({"cpuset.mems", cpu.mems});
}

void add_rdma(const std::map<std::string, RdmaLimit>& devices, Controls& out) {
    for (const auto& [device, limit] : devices) {
        std::string line = device;
        if (limit.handles)
            line += fmt::format(" hca_handle={}", *limit.handles);
        if (limit.objects)
            line += fmt::format(" hca_object={}", *limit.objects);
        out.push_back({"rdma.max", line});
    }
}

/// The kernel takes one line in one write.
void add_unified(const std::map<std::string, std::string>& files, Controls& out) {
    for (const auto& [file, text] : files) {
        std::string_view rest = text;
        do {
            const auto end = std::min(rest.find('\n'), rest.size());
            out.push_back({file, std::string{rest.substr(0, end)}});
            rest.remove_prefix(std::min(end + 1, rest.size()));
        } while (!rest.empty());
    }
}

} // namespace

std::uint64_t cpu_weight(std::uint64_t shares) {
    if (shares == 0)
        return 0;
    if (shares <= 2)
        return 1;
    if (shares >= 262144)
        return 10000;
    const double log = std::log2(static_cast<double>(shares));
    return static_cast<std::uint64_t>(std::ceil(std::pow(10, (log * log + 125 * log) / 612.0 - 7.0 / 34.0)));
}

std::uint64_t io_weight(std::uint16_t weight) { return 1 + (std::uint64_t{weight} - 10) * 9999 / 990; }

Result<std::vector<Control>> controls(const Resources& resources, const CurrentLimits& current) {
    Controls out;
    if (resources.pids_limit) // 0 can't be had: the first process would be one too many
        out.push_back({"pids.max", *resources.pids_limit == 0 ? "1" : or_max(*resources.pids_limit)});
    TRY_VOID(add_memory(resources.memory, current, out));
    add_block_io(resources.block_io, out);
    add_cpu(resources.cpu, current, out);
    for (const auto& limit : resources.hugepages) {
        const std::string prefix = "hugetlb." + limit.page_size;
        out.push_back({prefix + ".max", std::to_string(limit.limit)});
        out.push_back({prefix + ".rsvd.max", std::to_string(limit.limit), true});
    }
    add_rdma(resources.rdma, out);
    add_unified(resources.unified, out);
    return out;
}

} // namespace ctrd::oci

#include "ctrd/oci/parse_resources.hpp"

namespace ctrd::oci {
namespace {

Result<std::vector<DeviceRule>> read_device_rules(const Reader& resources) {
    std::vector<DeviceRule> result;
    for (const Reader& in : TRY(resources.objects("devices"))) {
        DeviceRule rule;
        rule.allow = TRY(in.boolean("allow"));
        const std::string type = TRY(in.string("type"));
        if (!type.empty() && type != "a" && type != "b" && type != "c")
            return fail(bad_input(in.at("type") + ": '" + type + "' is none of a, b, c"));
        rule.type = type.empty() ? 'a' : type.front();
        rule.major = TRY(in.integer<std::int64_t>("major")).value_or(-1);
        rule.minor = TRY(in.integer<std::int64_t>("minor")).value_or(-1);
        if (const std::string access = TRY(in.string("access")); !access.empty())
            rule.access = access;
        if (rule.access.find_first_not_of("rwm") != std::string::npos)
            return fail(bad_input(in.at("access") + " holds something other than r, w and m: '" + rule.access + "'"));
        result.push_back(std::move(rule));
    }
    return result;
}

Result<void> read_unified(const Reader& resources, Resources& out) {
    const auto in = TRY(resources.object("unified"));
    if (!in)
        return {};
    for (const auto& [file, value] : in->json().items()) {
        // It becomes a file name in the cgroup folder: one component, "controller.name".
        if (file.empty() || file.find('/') != std::string::npos || file.find('.') == std::string::npos ||
            file[0] == '.' || file.find('\0') != std::string::npos)
            return fail(bad_input(in->place() + ": '" + file + "' is not a file of a cgroup"));
        out.unified[file] = TRY(checked_string(value, in->at(file)));
    }
    return {};
}

} // namespace

Result<Resources> read_resources(const Reader& in) {
    TRY_VOID(in.refuse({"blockIO", "hugepageLimits", "network", "rdma"}));
    Resources out;
    out.devices = TRY(read_device_rules(in));
    if (const auto memory = TRY(in.object("memory"))) {
        TRY_VOID(memory->refuse({"kernel", "kernelTCP", "swappiness", "disableOOMKiller"}));
        out.memory_limit = TRY(memory->integer<std::int64_t>("limit"));
        out.memory_reservation = TRY(memory->integer<std::int64_t>("reservation"));
        out.memory_swap = TRY(memory->integer<std::int64_t>("swap"));
    }
    if (const auto cpu = TRY(in.object("cpu"))) {
        TRY_VOID(cpu->refuse({"realtimeRuntime", "realtimePeriod", "burst", "idle"}));
        out.cpu_shares = TRY(cpu->integer<std::uint64_t>("shares"));
        out.cpu_quota = TRY(cpu->integer<std::int64_t>("quota"));
        out.cpu_period = TRY(cpu->integer<std::uint64_t>("period"));
        out.cpus = TRY(cpu->string("cpus"));
        out.mems = TRY(cpu->string("mems"));
    }
    if (const auto pids = TRY(in.object("pids")))
        out.pids_limit = TRY(pids->required_integer<std::int64_t>("limit"));
    TRY_VOID(read_unified(in, out));
    return out;
}

} // namespace ctrd::oci

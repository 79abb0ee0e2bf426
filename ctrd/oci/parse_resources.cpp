#include "ctrd/oci/parse_resources.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace ctrd::oci {
namespace {

/// "a" is a type, and there are configurations that have it among the rights, where it has never meant anything.
Result<std::string> read_access(const Reader& in, std::vector<std::string>& ignored) {
    std::string access = TRY(in.string("access"));
    if (access.find_first_not_of("rwma") != std::string::npos)
        return fail(bad_input(in.at("access") + " holds something other than r, w and m: '" + access + "'"));
    if (std::erase(access, 'a') != 0)
        ignored.push_back(in.at("access") + " 'a'");
    return access;
}

Result<std::vector<DeviceRule>> read_device_rules(const Reader& resources, std::vector<std::string>& ignored) {
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
        if (const std::string access = TRY(read_access(in, ignored)); !access.empty())
            rule.access = access;
        result.push_back(std::move(rule));
    }
    return result;
}

/// -1: no limit; 0: not set, as every runtime takes it.
Result<std::optional<std::int64_t>> read_limit(const Reader& in, const char* key) {
    const auto value = TRY(in.integer<std::int64_t>(key));
    if (value && *value < -1)
        return fail(bad_input(in.at(key) + " is neither a number of bytes nor -1: " + std::to_string(*value)));
    return value == 0 ? std::nullopt : value;
}

/// A property of cgroup v1 that is set to more than nothing, and that runc takes and forgets on cgroup v2.
void note_ignored(const Reader& in, const char* key, std::vector<std::string>& ignored) {
    const Json* value = in.find(key);
    if (value == nullptr || (value->is_boolean() && !value->get<bool>()) ||
        (value->is_number_integer() && value->get<std::int64_t>() <= 0) || (value->is_structured() && value->empty()))
        return;
    ignored.push_back(in.at(key));
}

Result<void> read_memory(const Reader& resources, Resources& out) {
    const auto in = TRY(resources.object("memory"));
    if (!in)
        return {};
    out.memory.limit = TRY(read_limit(*in, "limit"));
    out.memory.reservation = TRY(read_limit(*in, "reservation"));
    out.memory.swap = TRY(read_limit(*in, "swap"));
    out.memory.check_before_update = TRY(in->boolean("checkBeforeUpdate"));
    TRY(in->integer<std::int64_t>("kernel"));
    TRY(in->integer<std::int64_t>("kernelTCP"));
    if (TRY(in->integer<std::int64_t>("swappiness")).value_or(0) > 100)
        return fail(bad_input(in->at("swappiness") + " is above 100"));
    TRY(in->boolean("disableOOMKiller"));
    TRY(in->boolean("useHierarchy")); // always so on cgroup v2
    for (const char* key : {"kernel", "kernelTCP", "swappiness", "disableOOMKiller"})
        note_ignored(*in, key, out.ignored);
    return {};
}

Result<std::string> read_list(const Reader& in, const char* key) {
    std::string list = TRY(in.string(key));
    if (list.find_first_not_of("0123456789,- ") != std::string::npos)
        return fail(bad_input(in.at(key) + " is not a list such as 0-2,5: '" + list + "'"));
    return list;
}

Result<void> read_cpu(const Reader& resources, Resources& out) {
    const auto in = TRY(resources.object("cpu"));
    if (!in)
        return {};
    for (const char* key : {"realtimeRuntime", "realtimePeriod"})
        if (TRY(in->integer<std::int64_t>(key)).value_or(0) != 0)
            return fail(Error{std::errc::not_supported, in->at(key) + ": cgroup v2 has no quota of realtime scheduling",
                              "remove it; process.scheduler gives a realtime policy to the payload alone"});
    Cpu& cpu = out.cpu;
    cpu.shares = TRY(in->integer<std::uint64_t>("shares"));
    cpu.quota = TRY(in->integer<std::int64_t>("quota"));
    cpu.burst = TRY(in->integer<std::uint64_t>("burst"));
    cpu.period = TRY(in->integer<std::uint64_t>("period"));
    cpu.idle = TRY(in->integer<std::int64_t>("idle"));
    if (cpu.idle && *cpu.idle != 0 && *cpu.idle != 1)
        return fail(bad_input(in->at("idle") + " is neither 0 nor 1: " + std::to_string(*cpu.idle)));
    if (cpu.quota.value_or(0) > 0 && cpu.burst.value_or(0) > static_cast<std::uint64_t>(*cpu.quota))
        return fail(bad_input(in->at("burst") + " is above " + in->at("quota")));
    cpu.cpus = TRY(read_list(*in, "cpus"));
    cpu.mems = TRY(read_list(*in, "mems"));
    return {};
}

Result<std::optional<std::uint16_t>> read_weight(const Reader& in) {
    if (TRY(in.integer<std::uint16_t>("leafWeight")).value_or(0) != 0)
        return fail(Error{std::errc::not_supported, in.at("leafWeight") + ": cgroup v2 has no such weight",
                          "remove it; processes and cgroups below them don't compete there"});
    const auto weight = TRY(in.integer<std::uint16_t>("weight"));
    if (weight && *weight != 0 && (*weight < 10 || *weight > 1000))
        return fail(bad_input(in.at("weight") + " is not between 10 and 1000: " + std::to_string(*weight)));
    return weight == 0 ? std::nullopt : weight;
}

Result<std::int64_t> read_device_number(const Reader& in, const char* key) {
    const auto number = TRY(in.required_integer<std::int64_t>(key));
    if (number < 0)
        return fail(bad_input(in.at(key) + " is not a device number: " + std::to_string(number)));
    return number;
}

Result<std::vector<ThrottleDevice>> read_throttles(const Reader& block_io, const char* key) {
    std::vector<ThrottleDevice> result;
    for (const Reader& in : TRY(block_io.objects(key)))
        result.push_back({TRY(read_device_number(in, "major")), TRY(read_device_number(in, "minor")),
                          TRY(in.required_integer<std::uint64_t>("rate"))});
    return result;
}

Result<void> read_block_io(const Reader& resources, BlockIo& out) {
    const auto in = TRY(resources.object("blockIO"));
    if (!in)
        return {};
    out.weight = TRY(read_weight(*in));
    for (const Reader& device : TRY(in->objects("weightDevice")))
        if (const auto weight = TRY(read_weight(device)))
            out.weight_devices.push_back(
                {TRY(read_device_number(device, "major")), TRY(read_device_number(device, "minor")), *weight});
    out.read_bytes = TRY(read_throttles(*in, "throttleReadBpsDevice"));
    out.write_bytes = TRY(read_throttles(*in, "throttleWriteBpsDevice"));
    out.read_operations = TRY(read_throttles(*in, "throttleReadIOPSDevice"));
    out.write_operations = TRY(read_throttles(*in, "throttleWriteIOPSDevice"));
    return {};
}

/// "64KB", "2MB", "1GB": it becomes part of a file's name.
bool is_page_size(std::string_view text) {
    const auto digits = text.find_first_not_of("0123456789");
    const auto unit = digits == std::string_view::npos ? "" : text.substr(digits);
    return digits != 0 && digits < 10 && (unit == "KB" || unit == "MB" || unit == "GB");
}

Result<std::vector<HugepageLimit>> read_hugepages(const Reader& resources) {
    std::vector<HugepageLimit> result;
    for (const Reader& in : TRY(resources.objects("hugepageLimits"))) {
        HugepageLimit limit{TRY(in.required_string("pageSize")), TRY(in.required_integer<std::uint64_t>("limit"))};
        if (!is_page_size(limit.page_size))
            return fail(bad_input(in.at("pageSize") + " is not a size such as 2MB: '" + limit.page_size + "'"));
        result.push_back(std::move(limit));
    }
    return result;
}

Result<void> read_rdma(const Reader& resources, Resources& out) {
    const auto in = TRY(resources.object("rdma"));
    if (!in)
        return {};
    for (const auto& [device, value] : in->json().items()) {
        const auto entry = TRY(in->object(device.c_str()));
        if (!entry || device.empty() || device.find_first_of(" \t\n/=\\") != std::string::npos ||
            device.find('\0') != std::string::npos)
            return fail(bad_input(in->place() + ": '" + device + "' is not an RDMA device with its limits"));
        const RdmaLimit limit{TRY(entry->integer<std::uint32_t>("hcaHandles")),
                              TRY(entry->integer<std::uint32_t>("hcaObjects"))};
        if (!limit.handles && !limit.objects)
            return fail(bad_input(entry->place() + " has neither hcaHandles nor hcaObjects"));
        out.rdma[device] = limit;
    }
    return {};
}

/// Of the files of the cgroup itself only these are limits; "cgroup.procs" would take other people's processes in.
constexpr std::array<std::string_view, 3> core_files{"cgroup.max.depth", "cgroup.max.descendants", "cgroup.pressure"};

Result<void> read_unified(const Reader& resources, Resources& out) {
    const auto in = TRY(resources.object("unified"));
    if (!in)
        return {};
    for (const auto& [file, value] : in->json().items()) {
        // It becomes a file name in the cgroup folder: one component, "controller.name".
        if (file.empty() || file.find('/') != std::string::npos || file.find('.') == std::string::npos ||
            file[0] == '.' || file.find('\0') != std::string::npos)
            return fail(bad_input(in->place() + ": '" + file + "' is not a file of a cgroup"));
        if (file.starts_with("cgroup.") && std::ranges::find(core_files, file) == core_files.end())
            return fail(bad_input(in->place() + ": '" + file + "' is not a limit"));
        out.unified[file] = TRY(checked_string(value, in->at(file)));
    }
    return {};
}

/// Until 1.3 a 0 was "not set", and Podman writes it for "unlimited"; since then it is a limit.
bool knows_pids_limit_zero(std::string_view version) {
    int minor = 0;
    const auto dot = version.find('.');
    if (dot != std::string_view::npos)
        std::from_chars(version.data() + dot + 1, version.data() + version.size(), minor);
    return minor >= 3;
}

} // namespace

Result<Resources> read_resources(const Reader& in, std::string_view version) {
    Resources out;
    out.devices = TRY(read_device_rules(in, out.ignored));
    TRY_VOID(read_memory(in, out));
    TRY_VOID(read_cpu(in, out));
    if (const auto pids = TRY(in.object("pids")))
        out.pids_limit = TRY(pids->integer<std::int64_t>("limit"));
    if (out.pids_limit == 0 && !knows_pids_limit_zero(version))
        out.pids_limit.reset();
    TRY_VOID(read_block_io(in, out.block_io));
    out.hugepages = TRY(read_hugepages(in));
    if (const auto network = TRY(in.object("network"))) {
        TRY(network->integer<std::uint32_t>("classID"));
        TRY(network->objects("priorities"));
        for (const char* key : {"classID", "priorities"})
            note_ignored(*network, key, out.ignored);
    }
    TRY_VOID(read_rdma(in, out));
    TRY_VOID(read_unified(in, out));
    return out;
}

} // namespace ctrd::oci

#include "config/bundle.hpp"

#include "config/resources.hpp"
#include "config/syntax.hpp"
#include "ctrd/oci/cgroup2.hpp"
#include "ctrd/oci/parse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ctrd::config {
namespace {

std::string config_path(const UnitSpec& spec) { return clean_path(*spec.bundle) + "/config.json"; }

std::string bytes_or_infinity(std::int64_t bytes) { return bytes < 0 ? "infinity" : std::to_string(bytes); }

/// The unit lets the container use the standard devices and nothing else, which is what a plain bundle wants too.
/// Leave to make nodes ("m") that can't be opened is worth nothing, so it is not missed.
bool allows_more_than_the_unit(const oci::DeviceRule& rule) {
    const bool standard = rule.type == 'c' && (rule.major == 1 || rule.major == 5 || rule.major == 136);
    return rule.allow && rule.access != "m" && !standard;
}

void name_left_over(const oci::Resources& from, std::vector<std::string>& left_over) {
    const auto name_if = [&](bool is_set, const char* property) {
        if (is_set)
            left_over.emplace_back(property);
    };
    const oci::BlockIo& io = from.block_io;
    name_if(from.memory.reservation.has_value(), "memory.reservation");
    name_if(from.cpu.burst.value_or(0) != 0, "cpu.burst");
    name_if(from.cpu.idle.value_or(0) != 0, "cpu.idle");
    name_if(!from.cpu.cpus.empty(), "cpu.cpus");
    name_if(!from.cpu.mems.empty(), "cpu.mems");
    name_if(io.weight || !io.weight_devices.empty() || !io.read_bytes.empty() || !io.write_bytes.empty() ||
                !io.read_operations.empty() || !io.write_operations.empty(),
            "blockIO");
    name_if(!from.hugepages.empty(), "hugepageLimits");
    name_if(!from.rdma.empty(), "rdma");
    for (const auto& [file, value] : from.unified)
        left_over.push_back("unified." + file);
    name_if(std::ranges::any_of(from.devices, allows_more_than_the_unit), "devices");
}

/// What has a property of the unit; the rest is named.
ResourceSpec unit_resources(const oci::Resources& from, std::vector<std::string>& left_over) {
    ResourceSpec to;
    const auto& [limit, reservation, swap, check_before_update] = from.memory;
    if (limit)
        to.memory_max = bytes_or_infinity(*limit);
    if (swap) {
        // The bundle's number counts memory and swap together; the unit's counts swap alone.
        const auto memory = std::max<std::int64_t>(0, limit.value_or(0));
        to.memory_swap_max = *swap < 0 ? "infinity" : std::to_string(std::max<std::int64_t>(0, *swap - memory));
    }
    if (from.cpu.shares && *from.cpu.shares != 0)
        to.cpu_weight = std::to_string(oci::cpu_weight(*from.cpu.shares));
    if (from.cpu.quota && *from.cpu.quota > 0)
        to.cpu_quota = fmt::format(
            "{}%", std::max<std::uint64_t>(1, static_cast<std::uint64_t>(*from.cpu.quota) * 100 /
                                                  std::max<std::uint64_t>(1, from.cpu.period.value_or(100000))));
    if (from.pids_limit && *from.pids_limit != 0)
        to.tasks_max = *from.pids_limit < 0 ? "infinity" : std::to_string(*from.pids_limit);
    name_left_over(from, left_over);
    return to;
}

/// All but startContainer, which runs inside with the payload's own rights. A bundle may be somebody else's; what a
/// unit runs on the host is its administrator's alone.
bool has_host_hooks(const oci::Hooks& hooks) {
    return !hooks.create_runtime.empty() || !hooks.create_container.empty() || !hooks.poststart.empty() ||
           !hooks.poststop.empty();
}

std::string absolute_root(const std::string& bundle, const std::string& root) {
    return clean_path(root.starts_with('/') ? root : clean_path(bundle) + "/" + root);
}

} // namespace

Outcome<Bundle> read_bundle(const UnitSpec& spec, const std::string& text, bool declared) {
    const Location at{config_path(spec), 0, 0};
    const auto parsed = oci::parse(text);
    if (!parsed)
        return refuse({{at, parsed.error().message, parsed.error().hint}});
    Bundle bundle;
    bundle.config = nlohmann::json::parse(text, nullptr, false);
    std::vector<std::string> left_over;
    if (declared)
        bundle.resources = unit_resources(parsed->resources, left_over);
    Diagnostics problems;
    for (const auto& property : left_over)
        problems.push_back(
            {at, fmt::format("linux.resources.{} has no property of a unit in this version of ctrd", property),
             "remove it there; limits of a declared container are written in [resources]"});
    if (has_host_hooks(parsed->hooks))
        problems.push_back({at, "hooks: those that run with the host's rights are not taken from a bundle",
                            "put the command into the unit: systemctl edit ctr@NAME.service, [Service], "
                            "ExecStartPre= or ExecStopPost="});
    if (parsed->intel_rdt)
        problems.push_back({at, "linux.intelRdt has no property of a unit", "remove it there"});
    if (spec.command.empty() && (!parsed->process || parsed->process->args.empty()))
        problems.push_back(
            {origin_of(spec, "bundle"), fmt::format("'{}' does not say what to run", at.file), "write 'command'"});
    if (!problems.empty())
        return refuse(std::move(problems));

    auto& config = bundle.config;
    for (const char* member : {"process", "linux"})
        if (!config[member].is_object())
            config[member] = nlohmann::json::object();
    if (!config["process"].contains("cwd"))
        config["process"]["cwd"] = "/";
    config["root"]["path"] = absolute_root(*spec.bundle, parsed->root_path);
    config.erase("ctrd"); // a bundle does not speak for the declaration
    if (declared) {
        config["linux"].erase("resources");
        config["linux"].erase("cgroupsPath");
    }
    return bundle;
}

Result<std::string> bundle_rootfs(const std::string& bundle, const std::string& text) {
    const auto parsed = TRY(oci::parse(text));
    return absolute_root(bundle, parsed.root_path);
}

void merge_resources(ResourceSpec& resources, const ResourceSpec& under) {
    for (const auto& key : resource_table())
        if (!(resources.*key.value))
            resources.*key.value = under.*key.value;
}

} // namespace ctrd::config

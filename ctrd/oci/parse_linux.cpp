#include "ctrd/oci/parse_linux.hpp"

#include "ctrd/oci/names.hpp"
#include "ctrd/oci/parse_resources.hpp"
#include "ctrd/oci/parse_scheduling.hpp"

#include <linux/sched.h>

#include <algorithm>

namespace ctrd::oci {
namespace {

Result<std::vector<Namespace>> read_namespaces(const Reader& linux_object) {
    std::vector<Namespace> result;
    for (const Reader& in : TRY(linux_object.objects("namespaces"))) {
        Namespace ns;
        ns.type = TRY(in.required_string("type"));
        const auto flag = namespace_flag(ns.type);
        if (!flag)
            return fail(bad_input(in.at("type") + ": '" + ns.type + "' is not a namespace type"));
        ns.clone_flag = *flag;
        ns.path = TRY(in.string("path"));
        if (!ns.path.empty() && ns.path.front() != '/')
            return fail(bad_input(in.at("path") + " is not an absolute path: '" + ns.path + "'"));
        if (std::ranges::find(result, ns.type, &Namespace::type) != result.end())
            return fail(bad_input(in.place() + ": namespace '" + ns.type + "' is given twice"));
        result.push_back(std::move(ns));
    }
    return result;
}

Result<std::vector<Device>> read_devices(const Reader& linux_object) {
    std::vector<Device> result;
    for (const Reader& in : TRY(linux_object.objects("devices"))) {
        Device device;
        const std::string type = TRY(in.required_string("type"));
        if (type != "c" && type != "u" && type != "b" && type != "p")
            return fail(bad_input(in.at("type") + ": '" + type + "' is none of c, u, b, p"));
        device.type = type == "u" ? 'c' : type.front();
        device.path = TRY(in.required_string("path"));
        if (device.path.front() != '/')
            return fail(bad_input(in.at("path") + " is not an absolute path: '" + device.path + "'"));
        if (device.type != 'p') {
            device.major = TRY(in.required_integer<std::uint32_t>("major"));
            device.minor = TRY(in.required_integer<std::uint32_t>("minor"));
        }
        device.mode = TRY(in.integer<std::uint32_t>("fileMode")).value_or(0666) & 07777;
        device.uid = TRY(in.integer<std::uint32_t>("uid")).value_or(0);
        device.gid = TRY(in.integer<std::uint32_t>("gid")).value_or(0);
        result.push_back(std::move(device));
    }
    return result;
}

Result<std::vector<SeccompArg>> read_seccomp_args(const Reader& rule) {
    std::vector<SeccompArg> result;
    for (const Reader& in : TRY(rule.objects("args"))) {
        SeccompArg arg;
        arg.index = TRY(in.required_integer<std::uint32_t>("index"));
        if (arg.index > 5)
            return fail(bad_input(in.at("index") + " is above 5"));
        arg.value = TRY(in.required_integer<std::uint64_t>("value"));
        arg.value_two = TRY(in.integer<std::uint64_t>("valueTwo")).value_or(0);
        arg.op = TRY(in.required_string("op"));
        result.push_back(std::move(arg));
    }
    return result;
}

Result<Seccomp> read_seccomp(const Reader& in) {
    Seccomp seccomp;
    seccomp.listener_path = TRY(in.string("listenerPath"));
    seccomp.listener_metadata = TRY(in.string("listenerMetadata"));
    seccomp.default_action = TRY(in.required_string("defaultAction"));
    seccomp.default_errno_ret = TRY(in.integer<std::uint32_t>("defaultErrnoRet"));
    seccomp.architectures = TRY(in.strings("architectures"));
    seccomp.flags = TRY(in.strings("flags"));
    const auto rules = TRY(in.objects("syscalls"));
    seccomp.rules.reserve(rules.size());
    for (const Reader& rule : rules)
        seccomp.rules.push_back({TRY(rule.strings("names")), TRY(rule.required_string("action")),
                                 TRY(rule.integer<std::uint32_t>("errnoRet")), TRY(read_seccomp_args(rule))});
    if (notifies(seccomp) && !seccomp.listener_path.starts_with('/'))
        return fail(bad_input(in.at("listenerPath") + " must be an absolute path where a rule is SCMP_ACT_NOTIFY"));
    if (seccomp.default_action == "SCMP_ACT_NOTIFY")
        return fail(bad_input(in.at("defaultAction") + " can't be SCMP_ACT_NOTIFY",
                              "nothing could run before somebody answers; name the system calls"));
    return seccomp;
}

Result<std::map<std::string, std::string>> read_sysctl(const Reader& linux_object) {
    std::map<std::string, std::string> result;
    const auto in = TRY(linux_object.object("sysctl"));
    if (!in)
        return result;
    for (const auto& [key, value] : in->json().items())
        result[key] = TRY(checked_string(value, in->at(key)));
    return result;
}

Result<std::vector<std::string>> read_absolute_paths(const Reader& in, const char* key) {
    auto paths = TRY(in.strings(key));
    for (const std::string& path : paths)
        if (!path.starts_with('/'))
            return fail(bad_input(in.at(key) + " holds a path that is not absolute: '" + path + "'"));
    return paths;
}

Result<std::vector<TimeOffset>> read_time_offsets(const Reader& linux_object) {
    std::vector<TimeOffset> result;
    const auto clocks = TRY(linux_object.object("timeOffsets"));
    if (!clocks)
        return result;
    for (const auto& [clock, value] : clocks->json().items()) {
        if (clock != "monotonic" && clock != "boottime")
            return fail(bad_input(clocks->at(clock) + ": only the clocks monotonic and boottime have offsets"));
        const auto in = TRY(clocks->object(clock.c_str()));
        if (!in)
            continue;
        TimeOffset offset{clock, TRY(in->integer<std::int64_t>("secs")).value_or(0),
                          TRY(in->integer<std::uint32_t>("nanosecs")).value_or(0)};
        if (offset.nanoseconds > 999'999'999)
            return fail(bad_input(in->at("nanosecs") + " is above 999999999"));
        result.push_back(std::move(offset));
    }
    return result;
}

/// As the kernel has it: 15 bytes, no slash, no white space, no colon, not "." or "..".
bool is_device_name(std::string_view name) {
    return !name.empty() && name.size() < 16 && name != "." && name != ".." &&
           name.find_first_of("/: \t\n\v\f\r") == std::string_view::npos;
}

Result<std::vector<NetDevice>> read_net_devices(const Reader& linux_object) {
    std::vector<NetDevice> result;
    const auto devices = TRY(linux_object.object("netDevices"));
    if (!devices)
        return result;
    for (const auto& [host_name, value] : devices->json().items()) {
        const auto in = TRY(devices->object(host_name.c_str()));
        std::string name;
        if (in)
            name = TRY(in->string("name"));
        if (name.empty())
            name = host_name;
        const auto percent = name.find('%');
        const bool is_template = percent != std::string::npos && name.substr(percent) == "%d";
        if (!is_device_name(host_name) || !is_device_name(name) || host_name.find('%') != std::string::npos ||
            (percent != std::string::npos && !is_template))
            return fail(bad_input(devices->at(host_name) + ": '" + (is_device_name(host_name) ? name : host_name) +
                                  "' is not a name of a network device"));
        result.push_back({host_name, std::move(name)});
    }
    return result;
}

Result<std::optional<unsigned long>> read_personality(const Reader& linux_object) {
    const auto in = TRY(linux_object.object("personality"));
    if (!in)
        return std::optional<unsigned long>{};
    constexpr std::array domains{Named{"LINUX", 0}, Named{"LINUX32", 8}};
    if (!TRY(in->strings("flags")).empty())
        return fail(bad_input(in->at("flags") + ": the runtime spec defines none"));
    return std::optional{static_cast<unsigned long>(TRY(required_named(domains, *in, "domain")))};
}

bool is_no_folder_name(const std::string& name) {
    return name.find_first_of("/\n") != std::string::npos || name == "." || name == ".." || name == "info" ||
           name == "mon_groups" || name == "mon_data";
}

Result<std::optional<IntelRdt>> read_intel_rdt(const Reader& linux_object) {
    const auto in = TRY(linux_object.object("intelRdt"));
    if (!in)
        return std::optional<IntelRdt>{};
    IntelRdt rdt;
    rdt.clos_id = TRY(in->string("closID"));
    if (rdt.clos_id != "/" && is_no_folder_name(rdt.clos_id))
        return fail(bad_input(in->at("closID") + " can't be a folder's name: '" + rdt.clos_id + "'"));
    for (const char* key : {"l3CacheSchema", "memBwSchema"})
        if (auto line = TRY(in->string(key)); !line.empty())
            rdt.schemata.push_back(std::move(line));
    for (std::string& line : TRY(in->strings("schemata")))
        rdt.schemata.push_back(std::move(line));
    for (const std::string& line : rdt.schemata)
        if (line.find('\n') != std::string::npos && line.find('\n') + 1 != line.size())
            return fail(bad_input(in->at("schemata") + " holds more than one line in '" + line + "'"));
    rdt.monitoring = TRY(in->boolean("enableMonitoring"));
    return std::optional{std::move(rdt)};
}

} // namespace

Result<std::vector<IdMapping>> read_id_mappings(const Reader& in_object, const char* key) {
    std::vector<IdMapping> result;
    for (const Reader& in : TRY(in_object.objects(key))) {
        const IdMapping mapping{TRY(in.required_integer<std::uint32_t>("containerID")),
                                TRY(in.required_integer<std::uint32_t>("hostID")),
                                TRY(in.required_integer<std::uint32_t>("size"))};
        if (mapping.size == 0)
            return fail(bad_input(in.at("size") + " is 0"));
        result.push_back(mapping);
    }
    return result;
}

Result<void> read_linux(const Reader& in, Spec& spec) {
    spec.mount_label = TRY(in.string("mountLabel"));
    spec.personality = TRY(read_personality(in));
    spec.memory_policy = TRY(read_memory_policy(in));
    spec.time_offsets = TRY(read_time_offsets(in));
    spec.net_devices = TRY(read_net_devices(in));
    spec.intel_rdt = TRY(read_intel_rdt(in));
    spec.namespaces = TRY(read_namespaces(in));
    spec.uid_mappings = TRY(read_id_mappings(in, "uidMappings"));
    spec.gid_mappings = TRY(read_id_mappings(in, "gidMappings"));
    spec.devices = TRY(read_devices(in));
    spec.cgroups_path = TRY(in.string("cgroupsPath"));
    spec.rootfs_propagation = TRY(in.string("rootfsPropagation"));
    spec.masked_paths = TRY(read_absolute_paths(in, "maskedPaths"));
    spec.readonly_paths = TRY(read_absolute_paths(in, "readonlyPaths"));
    spec.sysctl = TRY(read_sysctl(in));
    if (const auto resources = TRY(in.object("resources")))
        spec.resources = TRY(read_resources(*resources, spec.version));
    if (const auto seccomp = TRY(in.object("seccomp")))
        spec.seccomp = TRY(read_seccomp(*seccomp));
    return {};
}

bool notifies(const Seccomp& seccomp) {
    return std::ranges::find(seccomp.rules, "SCMP_ACT_NOTIFY", &SeccompRule::action) != seccomp.rules.end();
}

} // namespace ctrd::oci

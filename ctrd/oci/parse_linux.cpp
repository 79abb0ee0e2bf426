#include "ctrd/oci/parse_linux.hpp"

#include "ctrd/oci/names.hpp"
#include "ctrd/oci/parse_resources.hpp"

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

Result<std::vector<IdMapping>> read_id_mappings(const Reader& linux_object, const char* key) {
    std::vector<IdMapping> result;
    for (const Reader& in : TRY(linux_object.objects(key))) {
        const IdMapping mapping{TRY(in.required_integer<std::uint32_t>("containerID")),
                                TRY(in.required_integer<std::uint32_t>("hostID")),
                                TRY(in.required_integer<std::uint32_t>("size"))};
        if (mapping.size == 0)
            return fail(bad_input(in.at("size") + " is 0"));
        result.push_back(mapping);
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
    TRY_VOID(in.refuse({"listenerPath", "listenerMetadata"}));
    Seccomp seccomp;
    seccomp.default_action = TRY(in.required_string("defaultAction"));
    seccomp.default_errno_ret = TRY(in.integer<std::uint32_t>("defaultErrnoRet"));
    seccomp.architectures = TRY(in.strings("architectures"));
    seccomp.flags = TRY(in.strings("flags"));
    const auto rules = TRY(in.objects("syscalls"));
    seccomp.rules.reserve(rules.size());
    for (const Reader& rule : rules)
        seccomp.rules.push_back({TRY(rule.strings("names")), TRY(rule.required_string("action")),
                                 TRY(rule.integer<std::uint32_t>("errnoRet")), TRY(read_seccomp_args(rule))});
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

} // namespace

Result<void> read_linux(const Reader& in, Spec& spec) {
    TRY_VOID(in.refuse({"intelRdt", "personality", "mountLabel", "timeOffsets", "netDevices", "memoryPolicy"}));
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
        spec.resources = TRY(read_resources(*resources));
    if (const auto seccomp = TRY(in.object("seccomp")))
        spec.seccomp = TRY(read_seccomp(*seccomp));
    return {};
}

} // namespace ctrd::oci

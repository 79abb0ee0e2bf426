#include "tools/ctr-oci/features.hpp"

#include "tools/ctr-oci/commands.hpp"

#include <linux/capability.h>
#include <seccomp.h>
#include <sys/capability.h>

#include <algorithm>
#include <cctype>
#include <cstdio>

namespace ctrd::ctr_oci {
namespace {

using Json = nlohmann::ordered_json;

/// Each with its recursive twin.
Json mount_options() {
    std::vector<std::string> words{
        "async",      "bind",   "defaults", "dirsync", "idmap",     "iversion",   "lazytime",   "loud",       "mand",
        "noiversion", "nomand", "private",  "rbind",   "remount",   "ridmap",     "rprivate",   "rshared",    "rslave",
        "shared",     "silent", "slave",    "sync",    "tmpcopyup", "nolazytime", "unbindable", "runbindable"};
    for (const char* attribute :
         {"atime", "dev", "diratime", "exec", "noatime", "nodev", "nodiratime", "noexec", "norelatime", "nostrictatime",
          "nosuid", "nosymfollow", "relatime", "ro", "rw", "strictatime", "suid", "symfollow"}) {
        words.emplace_back(attribute);
        words.push_back("r" + words.back());
    }
    std::ranges::sort(words);
    return words;
}

/// By the library that reads them in a configuration.
Json capabilities() {
    Json names = Json::array();
    for (int number = 0; number <= CAP_LAST_CAP; ++number) {
        char* name = ::cap_to_name(number);
        std::string upper = name == nullptr ? "" : name;
        ::cap_free(name);
        std::ranges::transform(upper, upper.begin(),
                               [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
        if (!upper.empty())
            names.push_back(upper);
    }
    return names;
}

Json seccomp() {
    const Json flags{"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_LOG",
                     "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
    return {{"enabled", true},
            {"actions",
             {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
              "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"}},
            {"operators",
             {"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ",
              "SCMP_CMP_NE"}},
            {"archs",
             {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32",
              "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PARISC",
              "SCMP_ARCH_PARISC64", "SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE", "SCMP_ARCH_RISCV64",
              "SCMP_ARCH_S390", "SCMP_ARCH_S390X", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"}},
            {"knownFlags", flags},
            {"supportedFlags", flags}};
}

Json memory_policy() {
    return {{"modes",
             {"MPOL_DEFAULT", "MPOL_BIND", "MPOL_INTERLEAVE", "MPOL_WEIGHTED_INTERLEAVE", "MPOL_PREFERRED",
              "MPOL_PREFERRED_MANY", "MPOL_LOCAL"}},
            {"flags", {"MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"}}};
}

Json linux_part() {
    return {{"namespaces", {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"}},
            {"capabilities", capabilities()},
            {"cgroup", {{"v1", false}, {"v2", true}, {"systemd", true}, {"systemdUser", true}, {"rdma", true}}},
            {"seccomp", seccomp()},
            {"apparmor", {{"enabled", true}}},
            {"selinux", {{"enabled", true}}},
            {"memoryPolicy", memory_policy()},
            {"intelRdt", {{"enabled", true}, {"schemata", true}, {"monitoring", true}}},
            {"mountExtensions", {{"idmap", {{"enabled", true}}}}},
            {"netDevices", {{"enabled", true}}}};
}

} // namespace

Json features_json() {
    const scmp_version* library = ::seccomp_version();
    const std::string version =
        std::to_string(library->major) + "." + std::to_string(library->minor) + "." + std::to_string(library->micro);
    return {{"ociVersionMin", "1.0.0"},
            {"ociVersionMax", "1.3.0"},
            {"hooks", {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}},
            {"mountOptions", mount_options()},
            {"linux", linux_part()},
            {"annotations", {{"io.github.seccomp.libseccomp.version", version}}},
            {"potentiallyUnsafeConfigAnnotations", {"org.systemd.property.", "run.oci.keep_original_groups"}}};
}

Result<int> features(const Options&) {
    std::puts(features_json().dump(4).c_str());
    return 0;
}

} // namespace ctrd::ctr_oci

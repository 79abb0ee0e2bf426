#include "config/seccomp.hpp"
#include "helpers.hpp"

#include <algorithm>
#include <seccomp.h>

using namespace ctrd;
using namespace ctrd::config;
using nlohmann::json;

namespace {

bool denies(const json& profile, const std::string& call) {
    return std::any_of(profile["syscalls"].begin(), profile["syscalls"].end(), [&](const json& rule) {
        return std::find(rule["names"].begin(), rule["names"].end(), json(call)) != rule["names"].end();
    });
}

/// Whether a call with this first argument is refused: what libseccomp would do, for the operators that we use.
bool denies_with(const json& profile, const std::string& call, std::uint64_t first) {
    return std::any_of(profile["syscalls"].begin(), profile["syscalls"].end(), [&](const json& rule) {
        if (std::find(rule["names"].begin(), rule["names"].end(), json(call)) == rule["names"].end())
            return false;
        if (!rule.contains("args"))
            return true;
        const auto& arg = rule["args"][0];
        const auto value = arg["value"].get<std::uint64_t>();
        return arg["op"] == "SCMP_CMP_EQ" ? first == value : (first & value) == arg["valueTwo"].get<std::uint64_t>();
    });
}

} // namespace

TEST_CASE("the default profile refuses what reaches beyond a container", "[config][seccomp]") {
    const auto profile = *default_seccomp({});
    CHECK(profile["defaultAction"] == "SCMP_ACT_ALLOW");
    for (const auto* call : {"mount",
                             "move_mount",
                             "open_tree",
                             "fsopen",
                             "pivot_root",
                             "setns",
                             "bpf",
                             "perf_event_open",
                             "keyctl",
                             "add_key",
                             "kexec_load",
                             "init_module",
                             "finit_module",
                             "userfaultfd",
                             "io_uring_setup",
                             "open_by_handle_at",
                             "clone3",
                             "syslog",
                             "swapon",
                             "reboot"})
        CHECK(denies(profile, call));
    for (const auto* call : {"ptrace", "read", "execve", "bind", "seccomp", "landlock_create_ruleset", "chroot",
                             "process_vm_readv", "memfd_create"})
        CHECK_FALSE(denies(profile, call));
}

TEST_CASE("AF_ALG and AF_VSOCK are refused, and so is what hides the family on 32 bits", "[config][seccomp]") {
    const auto profile = *default_seccomp({});
    CHECK(denies_with(profile, "socket", 38));
    CHECK(denies_with(profile, "socket", 40));
    for (const std::uint64_t family : {1, 2, 10, 16, 17})
        CHECK_FALSE(denies_with(profile, "socket", family));
    CHECK(denies_with(profile, "socketcall", 1));
    CHECK(denies_with(profile, "socketcall", 8));
    CHECK_FALSE(denies_with(profile, "socketcall", 2));
}

TEST_CASE("clone and unshare are refused for every namespace and allowed for threads and forks", "[config][seccomp]") {
    const auto profile = *default_seccomp({});
    for (const auto* call : {"clone", "unshare"}) {
        for (const std::uint64_t flag :
             {0x10000000, 0x00020000, 0x40000000, 0x20000000, 0x08000000, 0x04000000, 0x02000000}) {
            CHECK(denies_with(profile, call, flag));
            CHECK(denies_with(profile, call, flag | 0x11));
        }
        CHECK_FALSE(denies_with(profile, call, 0x01200011)); // fork
        CHECK_FALSE(denies_with(profile, call, 0x003d0f00)); // pthread_create
    }
    CHECK_FALSE(denies_with(profile, "personality", 0xffffffff));
    CHECK_FALSE(denies_with(profile, "personality", 8));
    CHECK(denies_with(profile, "personality", 0x0040000));
    CHECK(denies_with(profile, "personality", 0x0440000));
}

TEST_CASE("who holds a capability may make the calls that it is for", "[config][seccomp]") {
    CHECK_FALSE(denies(*default_seccomp({"CAP_SYS_ADMIN"}), "mount"));
    CHECK_FALSE(denies(*default_seccomp({"CAP_SYS_TIME"}), "clock_settime"));
    CHECK(denies(*default_seccomp({"CAP_SYS_TIME"}), "mount"));
    CHECK(denies(*default_seccomp({"CAP_SYS_ADMIN"}), "keyctl"));
    CHECK(denies(oci_of(declaration())["linux"]["seccomp"], "mount"));
    CHECK_FALSE(denies(oci_of(declaration("capabilities = [\"SYS_ADMIN\"]\n"))["linux"]["seccomp"], "mount"));
}

TEST_CASE("every call of the default profile is known to libseccomp", "[config][seccomp]") {
    for (const auto& rule : (*default_seccomp({}))["syscalls"])
        for (const auto& name : rule["names"]) {
            INFO(name);
            CHECK(seccomp_syscall_resolve_name(name.get<std::string>().c_str()) != __NR_SCMP_ERROR);
        }
}

TEST_CASE("seccomp can be left out or come from a file in the OCI format", "[config][seccomp]") {
    CHECK_FALSE(oci_of(declaration("seccomp = \"unconfined\"\n"))["linux"].contains("seccomp"));
    const auto own =
        R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}]})";
    CHECK(oci_of(declaration("seccomp = \"/etc/x.json\"\n"), {.seccomp_profile = own})["linux"]["seccomp"] ==
          json::parse(own));
    for (
        const auto* bad :
        {"", "[]", "{}", R"({"defaultAction": "SCMP_ACT_ERRNO", "archMap": []})",
         R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": [], "action": "x", "includes": {"caps": ["a"]}}]})"})
        CHECK_FALSE(parse_seccomp_profile(bad).has_value());
    CHECK_THAT(problems_of(declaration("seccomp = \"defualt\"\n")), Catch::Contains("'seccomp' can't be 'defualt'"));
}

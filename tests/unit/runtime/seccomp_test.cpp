#include "ctrd/runtime/seccomp.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;

namespace {

oci::Seccomp profile(std::vector<oci::SeccompRule> rules) {
    oci::Seccomp seccomp;
    seccomp.default_action = "SCMP_ACT_ERRNO";
    seccomp.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
    seccomp.rules = std::move(rules);
    return seccomp;
}

} // namespace

TEST_CASE("a profile becomes a BPF program", "[seccomp]") {
    const auto filter = runtime::compile_seccomp(profile({{{"read", "write"}, "SCMP_ACT_ALLOW", {}, {}}}));
    REQUIRE(filter.has_value());
    CHECK(filter->program.size() > 4);
}

TEST_CASE("syscalls of other kernels are passed over, unknown actions and comparisons are not", "[seccomp]") {
    CHECK(runtime::compile_seccomp(profile({{{"no_such_syscall"}, "SCMP_ACT_ALLOW", {}, {}}})).has_value());
    CHECK_FALSE(runtime::compile_seccomp(profile({{{"read"}, "SCMP_ACT_PERHAPS", {}, {}}})).has_value());
    CHECK_FALSE(runtime::compile_seccomp(profile({{{"read"}, "SCMP_ACT_NOTIFY", {}, {}}})).has_value());
    CHECK_FALSE(runtime::compile_seccomp(profile({{{"read"}, "SCMP_ACT_ALLOW", {}, {{0, 1, 0, "SCMP_CMP_LIKE"}}}}))
                    .has_value());
    auto seccomp = profile({});
    seccomp.flags = {"SECCOMP_FILTER_FLAG_LUCK"};
    CHECK_FALSE(runtime::compile_seccomp(seccomp).has_value());
}

TEST_CASE("several comparisons of one argument are alternatives", "[seccomp]") {
    const auto filter = runtime::compile_seccomp(
        profile({{{"personality"}, "SCMP_ACT_ALLOW", {}, {{0, 0, 0, "SCMP_CMP_EQ"}, {0, 8, 0, "SCMP_CMP_EQ"}}}}));
    CHECK(filter.has_value());
}

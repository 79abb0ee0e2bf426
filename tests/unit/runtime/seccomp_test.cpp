#include "ctrd/runtime/seccomp.hpp"

#include <catch2/catch.hpp>
#include <linux/seccomp.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

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

TEST_CASE("a rule that notifies asks the kernel for a listener", "[seccomp]") {
    const auto filter = runtime::compile_seccomp(profile({{{"mkdir"}, "SCMP_ACT_NOTIFY", {}, {}}}));
    REQUIRE(filter.has_value());
    CHECK(filter->flags == SECCOMP_FILTER_FLAG_NEW_LISTENER);
}

TEST_CASE("the cache gives back what was compiled, and only to the same profile", "[seccomp]") {
    char folder[] = "/tmp/ctrd-seccomp.XXXXXX";
    REQUIRE(::mkdtemp(folder) != nullptr);
    const auto wanted = profile({{{"read", "write"}, "SCMP_ACT_ALLOW", {}, {}}});
    const auto other = profile({{{"readwrite"}, "SCMP_ACT_ALLOW", {}, {}}});
    const auto first = runtime::cached_seccomp(wanted, folder);
    REQUIRE(first.has_value());
    const auto names = [&] {
        std::vector<std::filesystem::path> found;
        for (const auto& entry : std::filesystem::directory_iterator{folder})
            found.push_back(entry.path());
        return found;
    };
    REQUIRE(names().size() == 1);
    // What is in the file is what comes back: another action for "read" shows that it was read.
    const auto file = names().front();
    std::fstream stream{file, std::ios::in | std::ios::out | std::ios::binary};
    stream.seekp(-static_cast<std::streamoff>(sizeof(sock_filter)), std::ios::end);
    const sock_filter changed{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_LOG};
    stream.write(reinterpret_cast<const char*>(&changed), sizeof changed);
    stream.close();
    const auto second = runtime::cached_seccomp(wanted, folder);
    REQUIRE(second.has_value());
    CHECK(second->program.size() == first->program.size());
    CHECK(second->program.back().k == SECCOMP_RET_LOG);
    REQUIRE(runtime::cached_seccomp(other, folder).has_value());
    CHECK(names().size() == 2);
    for (int i = 0; i < 100; ++i) {
        auto many = wanted;
        many.default_errno_ret = static_cast<std::uint32_t>(i);
        REQUIRE(runtime::cached_seccomp(many, folder).has_value());
    }
    CHECK(names().size() <= 64);
    std::filesystem::remove_all(folder);
}

#include "ctrd/image/budget.hpp"

#include "ctrd/base/fd.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

using namespace ctrd;
using image::Budget;

TEST_CASE("a budget is spent to the last byte, and no further", "[image]") {
    Budget budget{100};
    CHECK(budget.check(100));
    CHECK(budget.charge(60));
    CHECK_FALSE(budget.check(41));
    const auto refused = budget.charge(41);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == std::errc::no_space_on_device);
    CHECK(budget.charge(40)); // what was refused was not taken
    CHECK_FALSE(budget.charge(1));
    CHECK(image::charge(nullptr, UINT64_MAX));
}

TEST_CASE("what a store uses is counted once for each file", "[image]") {
    char name[] = "/tmp/used.XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    const std::filesystem::path root{name};
    const auto used = [&] {
        const UniqueFd folder{::open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        return *image::bytes_used(folder.get());
    };
    std::filesystem::create_directories(root / "a/b");
    const auto before = used();
    std::ofstream{root / "a/b/file"} << std::string(1U << 20, 'x');
    std::filesystem::create_hard_link(root / "a/b/file", root / "a/linked");
    std::filesystem::create_symlink("/usr", root / "a/elsewhere");
    const auto added = used() - before;
    CHECK(added >= 1U << 20);
    CHECK(added < (1U << 20) + 65536);
    std::filesystem::remove_all(root);
}

#include "tools/ctrctl/settings.hpp"
#include "tools/ctrctl/use_text.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

using namespace ctrd;
using namespace ctrd::ctl;

TEST_CASE("a limit is written as in a declaration, and sent as systemd counts it", "[set]") {
    CHECK(*parse_setting("memory-max=1G") == Setting{"MemoryMax", 1ULL << 30});
    CHECK(*parse_setting("memory-high=1.5K") == Setting{"MemoryHigh", 1536});
    CHECK(*parse_setting("memory-min=0") == Setting{"MemoryMin", 0});
    CHECK(*parse_setting("cpu-quota=150%") == Setting{"CPUQuotaPerSecUSec", 1'500'000});
    CHECK(*parse_setting("cpu-weight=10000") == Setting{"CPUWeight", 10'000});
    CHECK(*parse_setting("tasks-max=infinity") == Setting{"TasksMax", UINT64_MAX});
}

TEST_CASE("what is no limit, or no value for it, is refused", "[set]") {
    for (const char* text :
         {"memory-max", "memory-max=", "memory-max=1Q", "memory-max=-1", "memory-max=1GG", "=1", "cpu-quota=50",
          "cpu-quota=0%", "cpu-weight=0", "cpu-weight=10001", "tasks-max=1.5", "memory-max=99999999T", "user=root"})
        CHECK_FALSE(parse_setting(text));
}

TEST_CASE("a mistyped limit is answered with the one that was meant", "[set]") {
    CHECK(parse_setting("memory-mx=1G").error().hint.find("memory-max") != std::string::npos);
}

TEST_CASE("sizes have three digits", "[stats]") {
    CHECK(describe_size(0) == "0B");
    CHECK(describe_size(1023) == "1023B");
    CHECK(describe_size(1024) == "1.0K");
    CHECK(describe_size(150 << 20) == "150M");
    CHECK(describe_size(UINT64_MAX) == "16.0E");
}

TEST_CASE("between two looks the use is a rate, but not over a restart", "[stats]") {
    Sample then{"web", {}, 1'000'000};
    then.use.numbers["CPUUsageUSec"] = 100'000;
    Sample now{"web", {}, 3'000'000};
    now.use.numbers["CPUUsageUSec"] = 1'100'000;
    CHECK(use_text({now}, {then}, {}).find("50.0%") != std::string::npos);
    now.use.numbers["CPUUsageUSec"] = 50'000;
    CHECK(use_text({now}, {then}, {}).find("0.05s") != std::string::npos);
}

TEST_CASE("no limit is null for a script", "[stats]") {
    Sample one{"web", {}, 0};
    one.use.numbers["MemoryMax"] = UINT64_MAX;
    CHECK(use_json({one})[0]["MemoryMax"].is_null());
}

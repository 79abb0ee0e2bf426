#include "tools/ctr-oci/limits.hpp"
#include "tools/ctr-oci/scope_properties.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;

namespace {

using Words = std::vector<std::string>;

Words properties(const std::string& file, const std::string& value) {
    return ctr_oci::scope_properties({{file, value}});
}

std::string annotated(const std::string& name, const std::string& value) {
    const auto result = ctr_oci::annotated_properties({{"org.systemd.property." + name, value}});
    return !result ? "refused" : result->empty() ? "" : result->front();
}

} // namespace

TEST_CASE("sizes have binary units", "[limits]") {
    CHECK(*ctr_oci::parse_size("-1") == -1);
    CHECK(*ctr_oci::parse_size("0") == 0);
    CHECK(*ctr_oci::parse_size("1024") == 1024);
    CHECK(*ctr_oci::parse_size("1k") == 1024);
    CHECK(*ctr_oci::parse_size("1KiB") == 1024);
    CHECK(*ctr_oci::parse_size("64M") == 64 << 20);
    CHECK(*ctr_oci::parse_size("1.5g") == 3LL << 29);
    CHECK(*ctr_oci::parse_size("2 GB") == 2LL << 30);
    CHECK(*ctr_oci::parse_size("5b") == 5);
    for (const char* bad : {"", "-2", "M", "1x", "1ib", "1kk", "1e30", "0x10", "inf", "nan", "99999999p", "1m1"})
        CHECK_FALSE(ctr_oci::parse_size(bad).has_value());
}

TEST_CASE("update's options are a linux.resources object", "[limits]") {
    CHECK(
        *ctr_oci::resources_of_limits({{"memory", "64M"},
                                       {"memory-swap", "-1"},
                                       {"cpu-quota", "-1"},
                                       {"pids-limit", "20"},
                                       {"cpuset-cpus", "0-1"},
                                       {"blkio-weight", "500"}}) ==
        R"({"blockIO":{"weight":500},"cpu":{"cpus":"0-1","quota":-1},"memory":{"limit":67108864,"swap":-1},"pids":{"limit":20}})");
    CHECK(*ctr_oci::resources_of_limits({}) == "{}");
    CHECK_FALSE(ctr_oci::resources_of_limits({{"cpu-period", "x"}}).has_value());
    CHECK_FALSE(ctr_oci::resources_of_limits({{"memory", "64Q"}}).has_value());
    CHECK(*ctr_oci::resources_of_limits({{"l3-cache-schema", "L3:0=f"}}) == "{}");
    CHECK(ctr_oci::schemata_of_limits({{"mem-bw-schema", "MB:0=50"}, {"memory", "1"}, {"l3-cache-schema", "L3:0=f"}}) ==
          Words{"L3:0=f", "MB:0=50"});
}

TEST_CASE("limits are the scope's properties", "[scope]") {
    CHECK(properties("memory.max", "100") == Words{"MemoryMax=t:100"});
    CHECK(properties("memory.swap.max", "max") == Words{"MemorySwapMax=t:18446744073709551615"});
    CHECK(properties("pids.max", "20") == Words{"TasksMax=t:20"});
    CHECK(properties("cpu.weight", "39") == Words{"CPUWeight=t:39"});
    CHECK(properties("cpu.idle", "1") == Words{"CPUWeight=t:0"});
    CHECK(properties("cpu.idle", "0").empty());
    CHECK(properties("cpu.max", "5000 10000") == Words{"CPUQuotaPerSecUSec=t:500000", "CPUQuotaPeriodUSec=t:10000"});
    CHECK(properties("cpu.max", "3333 100000").front() == "CPUQuotaPerSecUSec=t:40000"); // 3.3 % are 4 %
    CHECK(properties("cpu.max", "max 100000").front() == "CPUQuotaPerSecUSec=t:18446744073709551615");
    CHECK(properties("cpuset.cpus", "0-2,9") == Words{"AllowedCPUs=ay:0702"});
    CHECK(properties("cpuset.mems", "0") == Words{"AllowedMemoryNodes=ay:01"});
    CHECK(properties("io.max", "8:0 rbps=600 wiops=max") ==
          Words{"IOReadBandwidthMax=a(st):/dev/block/8:0 600",
                "IOWriteIOPSMax=a(st):/dev/block/8:0 18446744073709551615"});
    CHECK(ctr_oci::scope_properties({{"io.bfq.weight", "500", false, "io.weight", "4950"}}) ==
          Words{"IOWeight=t:4950"});
    CHECK(ctr_oci::scope_properties({{"io.bfq.weight", "8:0 10", false, "io.weight", "8:0 1"}}) ==
          Words{"IODeviceWeight=a(st):/dev/block/8:0 1"});
}

TEST_CASE("what systemd has no property for, or could not hold, is none", "[scope]") {
    CHECK(properties("hugetlb.2MB.max", "1").empty());
    CHECK(properties("memory.max", "1G").empty());
    CHECK(properties("cpuset.cpus", "0-99999999").empty());
    CHECK(properties("cpuset.cpus", "3-1").empty());
    CHECK(properties("cpu.max", "").empty());
    CHECK(properties("cpu.max", "5 0").empty());
    CHECK(properties("io.max", "8:0 rbps").empty());
}

TEST_CASE("annotations set a few harmless properties, in GVariant's text", "[scope]") {
    CHECK(annotated("TimeoutStopUSec", "uint64 123456789") == "TimeoutStopUSec=t:123456789");
    CHECK(annotated("TimeoutStopSec", "1.5") == "TimeoutStopUSec=t:1500000");
    CHECK(annotated("CollectMode", "'inactive-or-failed'") == "CollectMode=s:inactive-or-failed");
    CHECK(annotated("KillSignal", "37") == "KillSignal=i:37");
    CHECK(annotated("KillSignal", "int32 15") == "KillSignal=i:15");
    CHECK(annotated("CPUAccounting", "true") == "CPUAccounting=b:1");
    CHECK(ctr_oci::annotated_properties({{"org.example", "x"}})->empty());
}

TEST_CASE("an annotation can't run anything, loosen a limit, or say nonsense (CVE-2024-3154)", "[scope]") {
    for (const char* name :
         {"ExecStart", "ExecStartPre", "ExecStop", "ExecStopPost", "User", "PIDs", "Slice", "MemoryMax", "TasksMax",
          "DevicePolicy", "Delegate", "Before", "SuccessAction", "FailureAction", "", "Sec"})
        CHECK(annotated(name, "1") == "refused");
    CHECK(annotated("TimeoutStopUSec", "soon") == "refused");
    CHECK(annotated("TimeoutStopUSec", "-1") == "refused");
    CHECK(annotated("KillSignal", "99") == "refused");
    CHECK(annotated("CollectMode", "'never'") == "refused");
}

#include "ctrd/oci/cgroup2.hpp"
#include "ctrd/oci/parse.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;

namespace {

oci::Resources parsed(std::string_view json, std::string_view version = "1.3.0") {
    auto resources = oci::parse_resources(json, version);
    INFO((resources ? "" : resources.error().message));
    REQUIRE(resources.has_value());
    return *resources;
}

/// "file=value" of each, in order.
std::vector<std::string> written(std::string_view json, const oci::CurrentLimits& current = {}) {
    const auto controls = oci::controls(parsed(json), current);
    INFO((controls ? "" : controls.error().message));
    REQUIRE(controls.has_value());
    std::vector<std::string> result;
    for (const auto& control : *controls)
        result.push_back(control.file + "=" + control.value);
    return result;
}

std::string refused(std::string_view json) {
    const auto resources = oci::parse_resources(json, "1.3.0");
    return resources ? "" : resources.error().message;
}

using Lines = std::vector<std::string>;

} // namespace

TEST_CASE("shares become weights by the curve of runc and crun", "[resources]") {
    CHECK(oci::cpu_weight(0) == 0);
    CHECK(oci::cpu_weight(1) == 1);
    CHECK(oci::cpu_weight(2) == 1);
    CHECK(oci::cpu_weight(1024) == 100);
    CHECK(oci::cpu_weight(262144) == 10000);
    CHECK(oci::cpu_weight(1 << 30) == 10000);
    CHECK(written(R"({"cpu": {"shares": 1024}})") == Lines{"cpu.weight=100"});
    CHECK(written(R"({"cpu": {"shares": 0}})").empty());
}

TEST_CASE("memory and swap are counted together in the configuration, apart in the kernel", "[resources]") {
    CHECK(written(R"({"memory": {"limit": 100, "reservation": 50, "swap": 300}})") ==
          Lines{"memory.swap.max=200", "memory.max=100", "memory.low=50"});
    CHECK(written(R"({"memory": {"limit": 100, "swap": -1}})") == Lines{"memory.swap.max=max", "memory.max=100"});
    CHECK(written(R"({"memory": {"limit": -1, "swap": 100}})") == Lines{"memory.swap.max=100", "memory.max=max"});
    CHECK(written(R"({"memory": {"limit": -1}})") == Lines{"memory.swap.max=max", "memory.max=max"});
    CHECK(written(R"({"memory": {"limit": 0, "reservation": 0, "swap": 0}})").empty());
    CHECK_FALSE(oci::controls(parsed(R"({"memory": {"swap": 100}})")).has_value());
    CHECK_FALSE(oci::controls(parsed(R"({"memory": {"limit": 100, "swap": 99}})")).has_value());
    CHECK_FALSE(refused(R"({"memory": {"limit": -2}})").empty());
}

TEST_CASE("an update of one of memory and swap goes by what the other is", "[resources]") {
    const oci::CurrentLimits current{100, 200, {}, {}};
    CHECK(written(R"({"memory": {"swap": 150}})", current) == Lines{"memory.swap.max=50"});
    CHECK(written(R"({"memory": {"limit": 250}})", current) == Lines{"memory.swap.max=50", "memory.max=250"});
    CHECK_FALSE(oci::controls(parsed(R"({"memory": {"limit": 301}})"), current).has_value());
    CHECK(written(R"({"memory": {"limit": 301}})", {100, -1, {}, {}}) == Lines{"memory.max=301"});
}

TEST_CASE("no swap accounting is no error where swap is not limited", "[resources]") {
    const auto controls = oci::controls(parsed(R"({"memory": {"limit": 100, "swap": 100}})"));
    REQUIRE(controls.has_value());
    CHECK(controls->front() == oci::Control{"memory.swap.max", "0", true, {}, {}});
    CHECK_FALSE(oci::controls(parsed(R"({"memory": {"limit": 100, "swap": 101}})"))->front().optional);
}

TEST_CASE("quota and period are one file, and an update of one keeps the other", "[resources]") {
    CHECK(written(R"({"cpu": {"quota": 5000, "period": 10000}})") == Lines{"cpu.max=5000 10000"});
    CHECK(written(R"({"cpu": {"quota": 5000}})") == Lines{"cpu.max=5000 100000"});
    CHECK(written(R"({"cpu": {"quota": -1}})") == Lines{"cpu.max=max 100000"});
    CHECK(written(R"({"cpu": {"quota": 0, "period": 0}})").empty());
    const oci::CurrentLimits current{{}, {}, 7000, 20000};
    CHECK(written(R"({"cpu": {"quota": 5000}})", current) == Lines{"cpu.max=5000 20000"});
    CHECK(written(R"({"cpu": {"period": 5000}})", current) == Lines{"cpu.max=7000 5000"});
}

TEST_CASE("burst, idle, cpus and mems have files of their own", "[resources]") {
    CHECK(written(R"({"cpu": {"quota": 5000, "burst": 4000, "idle": 0, "cpus": "0-1,3", "mems": "0"}})") ==
          Lines{"cpu.idle=0", "cpu.max=5000 100000", "cpu.max.burst=4000", "cpuset.cpus=0-1,3", "cpuset.mems=0"});
    CHECK(written(R"({"cpu": {"idle": 1, "shares": 1024}})") == Lines{"cpu.idle=1"});
    CHECK_FALSE(refused(R"({"cpu": {"idle": 2}})").empty());
    CHECK_FALSE(refused(R"({"cpu": {"quota": 10, "burst": 11}})").empty());
    CHECK_FALSE(refused(R"({"cpu": {"cpus": "0\n1"}})").empty());
    CHECK_FALSE(refused(R"({"cpu": {"cpus": "all"}})").empty());
}

TEST_CASE("realtime quotas and leaf weights are refused by name", "[resources]") {
    CHECK(refused(R"({"cpu": {"realtimeRuntime": 1}})").starts_with("cpu.realtimeRuntime"));
    CHECK(refused(R"({"cpu": {"realtimePeriod": 1}})").starts_with("cpu.realtimePeriod"));
    CHECK(refused(R"({"blockIO": {"leafWeight": 10}})").starts_with("blockIO.leafWeight"));
    CHECK(refused(R"({"cpu": {"realtimeRuntime": 0, "realtimePeriod": 0}})").empty());
}

TEST_CASE("a pids limit of 0 is a limit since 1.3, and was none before", "[resources]") {
    CHECK(written(R"({"pids": {"limit": 20}})") == Lines{"pids.max=20"});
    CHECK(written(R"({"pids": {"limit": -1}})") == Lines{"pids.max=max"});
    CHECK(written(R"({"pids": {"limit": 0}})") == Lines{"pids.max=1"});
    CHECK(written(R"({"pids": {}})").empty());
    CHECK_FALSE(parsed(R"({"pids": {"limit": 0}})", "1.0.2-dev").pids_limit.has_value());
    CHECK_FALSE(parsed(R"({"pids": {"limit": 0}})", "1.2.1").pids_limit.has_value());
    CHECK(parsed(R"({"pids": {"limit": 0}})", "1.10.0").pids_limit == 0);
}

TEST_CASE("an 'a' among a device's rights means nothing, and is named as ignored", "[resources]") {
    const auto resources = parsed(R"({"devices": [{"allow": false, "type": "c", "major": 1, "access": "rwa"}]})");
    REQUIRE(resources.devices.size() == 1);
    CHECK(resources.devices[0].access == "rw");
    CHECK(resources.ignored.size() == 1);
    CHECK_FALSE(refused(R"({"devices": [{"allow": false, "access": "rwx"}]})").empty());
}

TEST_CASE("block devices have weights and rates", "[resources]") {
    const auto controls = oci::controls(
        parsed(R"({"blockIO": {"weight": 500, "weightDevice": [{"major": 8, "minor": 0, "weight": 10}]}})"));
    REQUIRE(controls.has_value());
    CHECK(*controls == std::vector<oci::Control>{{"io.bfq.weight", "500", false, "io.weight", "4950"},
                                                 {"io.bfq.weight", "8:0 10", false, "io.weight", "8:0 1"}});
    CHECK(oci::io_weight(1000) == 10000);
    CHECK(written(R"({"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}],
                      "throttleWriteBpsDevice": [{"major": 8, "minor": 1, "rate": 0}],
                      "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 7}],
                      "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 8}]}})") ==
          Lines{"io.max=8:0 rbps=600", "io.max=8:1 wbps=max", "io.max=8:0 riops=7", "io.max=8:0 wiops=8"});
    CHECK_FALSE(refused(R"({"blockIO": {"weight": 9}})").empty());
    CHECK_FALSE(refused(R"({"blockIO": {"weight": 1001}})").empty());
    CHECK_FALSE(refused(R"({"blockIO": {"throttleReadBpsDevice": [{"major": -8, "minor": 0, "rate": 1}]}})").empty());
    CHECK_FALSE(refused(R"({"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0}]}})").empty());
}

TEST_CASE("huge pages are limited when they are used and when they are reserved", "[resources]") {
    CHECK(written(R"({"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]})") ==
          Lines{"hugetlb.2MB.max=4194304", "hugetlb.2MB.rsvd.max=4194304"});
    for (const char* bad : {"2", "MB", "2mb", "2MB/../x", "2 MB", "99999999999MB"})
        CHECK_FALSE(refused(std::string{R"({"hugepageLimits": [{"limit": 1, "pageSize": ")"} + bad + "\"}]}").empty());
}

TEST_CASE("rdma devices have one line each", "[resources]") {
    CHECK(written(R"({"rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10}, "rxe3": {"hcaObjects": 5}}})") ==
          Lines{"rdma.max=mlx5_1 hca_handle=3 hca_object=10", "rdma.max=rxe3 hca_object=5"});
    CHECK_FALSE(refused(R"({"rdma": {"mlx5_1": {}}})").empty());
    CHECK_FALSE(refused(R"({"rdma": {"a b": {"hcaObjects": 5}}})").empty());
}

TEST_CASE("unified comes last and one line at a time", "[resources]") {
    CHECK(written(
              R"({"unified": {"memory.max": "5", "io.max": "8:0 rbps=1\n8:1 wbps=2\n"}, "memory": {"limit": 100}})") ==
          Lines{"memory.max=100", "io.max=8:0 rbps=1", "io.max=8:1 wbps=2", "memory.max=5"});
}

TEST_CASE("unified limits a cgroup and takes no processes in", "[resources]") {
    for (const char* bad : {"cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.type", "cgroup.subtree_control"})
        CHECK_FALSE(refused(std::string{R"({"unified": {")"} + bad + R"(": "1"}})").empty());
    CHECK(refused(R"({"unified": {"cgroup.max.depth": "1"}})").empty());
}

TEST_CASE("what cgroup v2 has nothing like is named, if it is more than the default", "[resources]") {
    const auto resources =
        parsed(R"({"memory": {"kernel": 1, "kernelTCP": 1, "swappiness": 60, "disableOOMKiller": true},
        "network": {"classID": 1, "priorities": [{"name": "eth0", "priority": 1}]}})");
    CHECK(resources.ignored == Lines{"memory.kernel", "memory.kernelTCP", "memory.swappiness",
                                     "memory.disableOOMKiller", "network.classID", "network.priorities"});
    CHECK(
        parsed(
            R"({"memory": {"kernel": -1, "disableOOMKiller": false, "swappiness": 0}, "network": {"priorities": []}})")
            .ignored.empty());
}

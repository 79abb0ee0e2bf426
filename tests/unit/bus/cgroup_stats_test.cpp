#include "ctrd/bus/cgroup_stats.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace ctrd;
using namespace ctrd::bus;

namespace {

const Stat* find(const std::vector<Stat>& all, const std::string& name) {
    const auto at = std::ranges::find(all, name, &Stat::name);
    return at == all.end() ? nullptr : &*at;
}

} // namespace

TEST_CASE("the wanted lines of a flat file get their names, others and malformed ones are passed over", "[bus]") {
    const auto found = parse_flat("usage_usec 17\nnice_usec 3\nuser_usec\n\nsystem_usec 4 5\n",
                                  {{"usage_usec", "CPUUsageUSec"}, {"user_usec", "U"}, {"system_usec", "S"}});
    REQUIRE(found.size() == 1);
    CHECK(found[0].name == "CPUUsageUSec");
    CHECK(found[0].number == 17);
}

TEST_CASE("pressure is a share of two spans of time and a sum", "[bus]") {
    const auto found = parse_pressure("some avg10=1.50 avg60=0.25 avg300=0.00 total=1234\n"
                                      "full avg10=0.00 avg60=0.00 avg300=0.00 total=99\n",
                                      "CPU");
    REQUIRE(find(found, "CPUPressureSome10s") != nullptr);
    CHECK(find(found, "CPUPressureSome10s")->share == Approx(1.5));
    CHECK(find(found, "CPUPressureSome60s")->share == Approx(0.25));
    CHECK(find(found, "CPUPressureSomeUSec")->number == 1234);
    CHECK(find(found, "CPUPressureFullUSec")->number == 99);
}

TEST_CASE("input and output are summed over all disks", "[bus]") {
    const auto found = parse_io("8:0 rbytes=10 wbytes=1 rios=2 wios=3 dbytes=0 dios=0\n"
                                "8:16 rbytes=5 wbytes=2 rios=1 wios=1 dbytes=0 dios=0\n");
    CHECK(find(found, "IOReadBytes")->number == 15);
    CHECK(find(found, "IOWriteBytes")->number == 3);
    CHECK(find(found, "IOReadOperations")->number == 3);
    CHECK(find(found, "IOWriteOperations")->number == 4);
}

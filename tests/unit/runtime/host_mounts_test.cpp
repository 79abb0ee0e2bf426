#include "ctrd/runtime/host_mounts.hpp"

#include <catch2/catch.hpp>

using namespace ctrd;

TEST_CASE("each procfs and sysfs of mountinfo is found, whatever stands before its type", "[runtime]") {
    const auto found = runtime::find_kernel_mounts("22 28 0:20 / /proc rw,relatime - proc proc rw\n"
                                                   "23 28 0:21 / /sys rw shared:7 master:2 - sysfs sysfs rw\n"
                                                   "24 23 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
                                                   "25 28 0:20 / /srv/a\\040b\\134c rw - proc none rw\n"
                                                   "26 28 0:9 /proc /x rw - ext4 proc rw\n"
                                                   "damaged\n");
    CHECK(found == std::vector<std::string>{"/proc", "/sys", "/srv/a b\\c"});
}

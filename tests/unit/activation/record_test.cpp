#include "ctrd/activation/late_bind.hpp"
#include "ctrd/activation/record.hpp"

#include <catch2/catch.hpp>

#include <sys/socket.h>

namespace ctrd::activation {

TEST_CASE("a run record is read back as it was written") {
    const RunRecord record{
        "web",
        4711,
        123456789,
        "/machine.slice/ctr@web.service/payload",
        {{"http", "adopt", 0xffff'ffffULL + 7, AF_INET6, 80, 8080}, {"ctl", "pass", 9, AF_UNIX, 0, 0}},
        "created",
        42};
    const auto read = parse_record(to_json(record));
    REQUIRE(read);
    CHECK(read->name == "web");
    CHECK(read->leader == 4711);
    CHECK(read->leader_start == 123456789);
    CHECK(read->cgroup == record.cgroup);
    REQUIRE(read->sockets.size() == 2);
    CHECK(read->sockets[0].inode == 0xffff'ffffULL + 7);
    CHECK(read->sockets[0].family == AF_INET6);
    CHECK(read->sockets[0].port == 80);
    CHECK(read->sockets[0].host_port == 8080);
    CHECK(read->phase == "created");
    CHECK(read->socket_cgroup == 42);
    CHECK(read->sockets[1].deliver == "pass");
}

TEST_CASE("a run record that is cut off or lacks a key is an error") {
    CHECK_FALSE(parse_record(R"({"name":"web","leader":1)"));
    CHECK_FALSE(parse_record(R"({"name":"web","leader":1,"leader_start":1,"cgroup":"/x"})"));
    CHECK_FALSE(parse_record(R"({"name":"web","leader":"1","leader_start":1,"cgroup":"/x","sockets":[]})"));
}

TEST_CASE("a container's name can't lead a record elsewhere") {
    CHECK_FALSE(read_record("../compiled/web"));
    CHECK_FALSE(remove_record("../../etc/passwd"));
}

TEST_CASE("a process's container is told by its unit's cgroup") {
    CHECK(container_of_cgroup("/machine.slice/ctr@web.service/payload") == "web");
    CHECK(container_of_cgroup("/machine.slice/ctr@web.service") == "web");
    CHECK(container_of_cgroup("/machine.slice/machine-prod.slice/ctr@a-b.c.service/payload/deeper") == "a-b.c");
}

TEST_CASE("a cgroup that only looks like a container's unit is none") {
    CHECK(container_of_cgroup("/system.slice/ctrd.service").empty());
    CHECK(container_of_cgroup("/machine.slice").empty());
    CHECK(container_of_cgroup("/machine.slice/other.service/ctr@web.service").empty()); // another unit's own folder
    CHECK(container_of_cgroup("/user.slice/user-1000.slice/user@1000.service/ctr@web.service").empty());
    CHECK(container_of_cgroup("/machine.slice/ctr@web.service/payload/ctr@db.service") == "web");
    CHECK(container_of_cgroup("/machine.slice/ctr@..service").empty());
    CHECK(container_of_cgroup("").empty());
}

} // namespace ctrd::activation

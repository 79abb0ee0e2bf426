#include "tools/ctrctl/ports.hpp"

#include <catch2/catch.hpp>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

using namespace ctrd::ctl;

TEST_CASE("listen addresses are read as systemd writes them", "[ports]") {
    const auto v4 = parse_listen("127.0.0.1:8080");
    REQUIRE(v4);
    CHECK_FALSE(v4->v6);
    CHECK(v4->port == 8080);
    CHECK_FALSE(v4->is_wildcard());
    const auto both = parse_listen("8080");
    REQUIRE(both);
    CHECK(both->v6);
    CHECK(both->is_wildcard());
    REQUIRE(parse_listen("[::1]:80"));
    CHECK_FALSE(parse_listen("[::1]:80")->is_wildcard());
    for (const char* other : {"/run/x.sock", "@name", "", "1.2.3:4", "::1:80", "0.0.0.0:99999", "80x"})
        CHECK_FALSE(parse_listen(other));
}

TEST_CASE("addresses overlap if both can't be listened on at once", "[ports]") {
    const auto clash = [](const char* a, const char* b) { return overlap(*parse_listen(a), *parse_listen(b)); };
    CHECK(clash("0.0.0.0:80", "127.0.0.1:80"));
    CHECK(clash("80", "127.0.0.1:80"));
    CHECK(clash("[::]:80", "0.0.0.0:80"));
    CHECK(clash("127.0.0.1:80", "127.0.0.1:80"));
    CHECK_FALSE(clash("127.0.0.1:80", "127.0.0.2:80"));
    CHECK_FALSE(clash("127.0.0.1:80", "127.0.0.1:81"));
    CHECK_FALSE(clash("[::1]:80", "0.0.0.0:80"));
}

TEST_CASE("the kernel's socket table gives listeners and nothing else", "[ports]") {
    const auto v4 = parse_proc_net(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 "
        "10 0\n"
        "   1: 0100007F:1F91 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 "
        "10 0\n"
        "garbage\n",
        false);
    REQUIRE(v4.size() == 1);
    CHECK(v4[0].inode == 4711);
    CHECK(overlap(v4[0].at, *parse_listen("127.0.0.1:8080")));
    const auto v6 =
        parse_proc_net("   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A "
                       "00000000:00000000 00:00000000 00000000     0        0 99 1 0 100 0 0 10 0",
                       true);
    REQUIRE(v6.size() == 1);
    CHECK(overlap(v6[0].at, *parse_listen("[::1]:80")));
}

TEST_CASE("a port that is listened on is found with the process that has it", "[ports]") {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(fd >= 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(fd, 1) == 0);
    REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    const auto at = parse_listen("127.0.0.1:" + std::to_string(ntohs(address.sin_port)));
    REQUIRE(at);
    CHECK(try_bind(*at) == EADDRINUSE);
    bool found = false;
    for (const auto& listener : all_listeners())
        if (overlap(listener.at, *at)) {
            const auto holder = find_holder(listener.inode);
            REQUIRE(holder);
            CHECK(holder->pid == ::getpid());
            found = true;
        }
    CHECK(found);
    ::close(fd);
    CHECK(try_bind(*at) == 0);
}

TEST_CASE("the unit is the last service or scope of a cgroup path", "[ports]") {
    CHECK(unit_of_cgroup("/system.slice/nginx.service") == "nginx.service");
    CHECK(unit_of_cgroup("/machine.slice/ctr@web.service/payload") == "ctr@web.service");
    CHECK(unit_of_cgroup("/user.slice/user-0.slice/session-1.scope") == "session-1.scope");
    CHECK(unit_of_cgroup("/").empty());
    CHECK(unit_of_cgroup("/init").empty());
}

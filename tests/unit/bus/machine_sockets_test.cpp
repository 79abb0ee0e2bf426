#include "ctrd/bus/machine_sockets.hpp"
#include "machined-plugin/machine_socket.hpp"
#include "machined-plugin/shell_responder.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/socket.h>

using namespace ctrd;
using namespace ctrd::bus;

TEST_CASE("machined is told by its unit's cgroup, not by its name", "[bus]") {
    CHECK(is_machined_cgroup("/system.slice/systemd-machined.service"));
    CHECK(is_machined_cgroup("/a.slice/a-b.slice/systemd-machined.service"));
    CHECK_FALSE(is_machined_cgroup("/machine.slice/ctr@web.service/payload/systemd-machined.service"));
    CHECK_FALSE(is_machined_cgroup("/machine.slice/ctr@web.service/payload/system.slice/systemd-machined.service"));
    CHECK_FALSE(is_machined_cgroup("/system.slice/not-systemd-machined.service"));
    CHECK_FALSE(is_machined_cgroup("/system.slice/systemd-machined.service/below"));
    CHECK_FALSE(is_machined_cgroup(""));
}

TEST_CASE("what we say ourselves at a machine socket is not machined's", "[bus]") {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    const UniqueFd ours{ends[0]}, theirs{ends[1]};
    const int on = 1;
    REQUIRE(::setsockopt(ours.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
    CHECK_FALSE(is_from_machined(ours.get())); // nothing was said
    REQUIRE(::send(theirs.get(), "AUTH", 4, 0) == 4);
    CHECK_FALSE(is_from_machined(ours.get()));
    char text[8] = {};
    CHECK(::recv(ours.get(), text, sizeof text, 0) == 4); // it is still there to be read
}

TEST_CASE("a machine socket is known by its address, and by nothing else", "[bus]") {
    CHECK(systemd::container_of_machine_socket("/run/ctrd/machines/web") == "web");
    CHECK(systemd::container_of_machine_socket("/run/ctrd/web").empty());
    const UniqueFd null{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    CHECK(container_of_socket(null.get()).empty());
    const UniqueFd unbound{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    CHECK(container_of_socket(unbound.get()).empty());
}

TEST_CASE("a log-in is asked for by the number of its terminal", "[bus]") {
    CHECK(systemd::terminal_of_getty("container-getty@7.service") == 7U);
    for (const char* unit : {"container-getty@.service", "container-getty@-1.service", "container-getty@7.socket",
                             "getty@7.service", "container-getty@7x.service", "container-getty@99999999999.service"})
        CHECK_FALSE(systemd::terminal_of_getty(unit));
}

#include "tools/ctr-run/ready_socket.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstdlib>
#include <cstring>

using namespace ctrd;
using namespace ctrd::run;

namespace {

struct Folder {
    std::string path = [] {
        char name[] = "/tmp/ctr-run-test-XXXXXX";
        return std::string{::mkdtemp(name)};
    }();
    ~Folder() {
        ::unlink((path + "/notify").c_str());
        ::rmdir(path.c_str());
    }
};

UniqueFd connect_to(const std::string& path) {
    UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path.c_str());
    REQUIRE(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    return socket;
}

} // namespace

TEST_CASE("READY=1 is a line of its own", "[ctr-run][notify]") {
    CHECK(says_ready("READY=1"));
    CHECK(says_ready("STATUS=up\nREADY=1\n"));
    CHECK_FALSE(says_ready(""));
    CHECK_FALSE(says_ready("READY=0"));
    CHECK_FALSE(says_ready("READY=10"));
    CHECK_FALSE(says_ready("STATUS=READY=1"));
    CHECK_FALSE(says_ready("MAINPID=1\n READY=1"));
}

TEST_CASE("what else a payload says is taken and forgotten", "[ctr-run][notify]") {
    const Folder folder;
    auto socket = ReadySocket::open(folder.path + "/notify");
    REQUIRE(socket);
    CHECK_FALSE(socket->take());
    const UniqueFd sender = connect_to(folder.path + "/notify");
    REQUIRE(send_fds(sender.get(), "STATUS=starting", {}));
    CHECK_FALSE(socket->take());
    REQUIRE(send_fds(sender.get(), "MAINPID=1", {}));
    REQUIRE(send_fds(sender.get(), "READY=1", {}));
    CHECK(socket->take());
}

TEST_CASE("a barrier is answered", "[ctr-run][notify]") {
    const Folder folder;
    auto socket = ReadySocket::open(folder.path + "/notify");
    REQUIRE(socket);
    const UniqueFd sender = connect_to(folder.path + "/notify");
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    const UniqueFd reading{ends[0]};
    {
        const UniqueFd writing{ends[1]};
        const int fds[] = {writing.get()};
        REQUIRE(send_fds(sender.get(), "BARRIER=1", fds));
    }
    char byte = 0;
    CHECK(::read(reading.get(), &byte, 1) < 0); // somebody has the other end still
    CHECK_FALSE(socket->take());
    CHECK(::read(reading.get(), &byte, 1) == 0);
}

#include "ctrd/activation/listen_fds.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cstdlib>

namespace ctrd::activation {
namespace {

void set_environment(const std::string& pid, const char* count, const char* names) {
    ::setenv("LISTEN_PID", pid.c_str(), 1);
    ::setenv("LISTEN_FDS", count, 1);
    if (names != nullptr)
        ::setenv("LISTEN_FDNAMES", names, 1);
    else
        ::unsetenv("LISTEN_FDNAMES");
}

std::string own_pid() { return std::to_string(::getpid()); }

/// In a child, where descriptors 3 and 4 may be replaced: 0 if `check` holds.
template <class Check> int in_child(Check check) {
    const pid_t child = ::fork();
    if (child == 0) {
        const int one = ::socket(AF_UNIX, SOCK_STREAM, 0);
        const int other = ::socket(AF_UNIX, SOCK_STREAM, 0);
        const int high = ::fcntl(other, F_DUPFD, 10);
        ::dup2(one, 3);
        ::dup2(high, 4);
        ::_exit(check() ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
}

} // namespace

TEST_CASE("handed descriptors come with their names, close on exec, and leave no variables") {
    CHECK(in_child([] {
              set_environment(own_pid(), "2", "http:admin");
              auto fds = listen_fds_from_environment();
              return fds && fds->size() == 2 && fds->at(0).fd.get() == 3 && fds->at(0).name == "http" &&
                     fds->at(1).fd.get() == 4 && fds->at(1).name == "admin" && ::fcntl(3, F_GETFD) == FD_CLOEXEC &&
                     ::fcntl(4, F_GETFD) == FD_CLOEXEC && std::getenv("LISTEN_PID") == nullptr &&
                     std::getenv("LISTEN_FDS") == nullptr && std::getenv("LISTEN_FDNAMES") == nullptr;
          }) == 0);
}

TEST_CASE("descriptors without a name are 'unknown', as systemd calls them") {
    CHECK(in_child([] {
              set_environment(own_pid(), "2", nullptr);
              auto fds = listen_fds_from_environment();
              return fds && fds->size() == 2 && fds->at(0).name == "unknown" && fds->at(1).name == "unknown";
          }) == 0);
}

TEST_CASE("descriptors that were meant for another process are not ours") {
    set_environment("1", "2", nullptr);
    const auto fds = listen_fds_from_environment();
    REQUIRE(fds);
    CHECK(fds->empty());
}

TEST_CASE("nonsense in the variables, and a descriptor that is not open, are errors") {
    set_environment(own_pid(), "many", nullptr);
    CHECK_FALSE(listen_fds_from_environment());
    set_environment(own_pid(), "-1", nullptr);
    CHECK_FALSE(listen_fds_from_environment());
    CHECK(in_child([] {
              ::close(4);
              set_environment(own_pid(), "2", nullptr);
              const auto fds = listen_fds_from_environment();
              return !fds && fds.error().message.find("4 is not open") != std::string::npos;
          }) == 0);
}

} // namespace ctrd::activation

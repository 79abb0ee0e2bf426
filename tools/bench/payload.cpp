// The payload of `bench start`. Its exit status says that it ran, as PID 1 and in its own root.
//
//     payload         ends at once
//     payload exec    the same, run by exec beside a PID 1
//     payload wait    that PID 1: stays until it is killed
//     payload notify  the same as a service: says READY=1 first (`bench ready`)
//
//     payload memory FD PROGRAM [ARG...]   runs a runtime, and writes its peak memory (KiB, four bytes) to FD: whoever
//                                          starts a program passes its own peak on to it, and this one is small
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace {

int measure_memory(int fd, char** command) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::execvp(command[0], command);
        ::_exit(127);
    }
    int status = 0;
    rusage used{};
    if (::wait4(pid, &status, 0, &used) != pid)
        return 126;
    const auto peak = static_cast<int>(used.ru_maxrss);
    if (::write(fd, &peak, sizeof peak) != sizeof peak)
        return 126;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool notify_ready() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const char* path = std::getenv("NOTIFY_SOCKET");
    if (path == nullptr || std::strlen(path) >= sizeof address.sun_path)
        return false;
    std::strcpy(address.sun_path, path);
    const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return ::sendto(fd, "READY=1", 7, MSG_NOSIGNAL, reinterpret_cast<sockaddr*>(&address), sizeof address) == 7;
}

} // namespace

int main(int argc, char** argv) {
    const char* mode = argc > 1 ? argv[1] : "";
    if (argc > 3 && std::strcmp(mode, "memory") == 0)
        return measure_memory(std::atoi(argv[2]), argv + 3);
    const bool notify = std::strcmp(mode, "notify") == 0;
    if (notify && !notify_ready())
        return 1;
    while (notify || std::strcmp(mode, "wait") == 0)
        ::pause();
    const bool first = std::strcmp(mode, "exec") != 0;
    return (::getpid() == 1) == first && ::access("/payload", X_OK) == 0 && ::access("/proc/self/stat", R_OK) == 0 ? 42
                                                                                                                   : 1;
}

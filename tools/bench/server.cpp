// The server of `bench connect`, so small that the way to it is what is measured. It listens on the port that it is
// told, as any server does, or takes systemd's socket where it gets one: the same program for both sides.
//
//     bench-server [PORT]
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace {

constexpr char answer[] = "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n";

int listen_on(int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<in_port_t>(port));
    if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0 || ::listen(fd, 128) < 0) {
        std::perror("bench-server");
        std::exit(1);
    }
    return fd;
}

void serve(int connection) {
    char request[2048];
    if (::read(connection, request, sizeof request) > 0 && ::write(connection, answer, sizeof answer - 1) < 0)
        std::perror("bench-server");
    ::close(connection);
}

} // namespace

int main(int argc, char** argv) {
    const int listener = std::getenv("LISTEN_FDS") != nullptr ? 3 : listen_on(argc > 1 ? std::atoi(argv[1]) : 80);
    for (;;) {
        const int connection = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
        if (connection >= 0)
            serve(connection);
        else if (errno != EINTR && errno != ECONNABORTED)
            return 1;
    }
}

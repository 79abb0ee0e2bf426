#include "ctrd/activation/adopt.hpp"
#include "ctrd/activation/listener.hpp"
#include "ctrd/base/deadline.hpp"
#include "tests/unit/activation/payload.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <thread>

namespace ctrd::activation {
namespace {

constexpr std::uint16_t declared_port = 8081;
const std::vector<Listener> one_listener{{declared_port, AF_INET}};

struct Answers {
    std::vector<Outcome> outcomes;
    std::string error;
};

/// Answers until the payload has ended.
Answers answer_all(const Payload& payload, int listener, std::span<const Listener> listeners = one_listener) {
    Answers answers;
    while (payload.wait_request()) {
        const auto request = receive_bind(payload.notify_fd());
        REQUIRE(request);
        if (!*request)
            continue;
        auto answer =
            answer_bind(payload.notify_fd(), **request, listeners, [&](std::size_t) { return dup(listener); });
        if (answer)
            answers.outcomes.push_back(answer->outcome);
        else
            answers.error = answer.error().message;
    }
    return answers;
}

int make_socket(int family, int type) { return ::socket(family, type, 0); }

} // namespace

TEST_CASE("the declared port's bind gets the host's listener at the same number, and connections arrive there") {
    const auto listener = make_listener();
    const auto host_port = port_of(listener.get());
    Payload payload{[&] {
        const int fd = make_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC);
        if (bind_ip(fd, AF_INET, declared_port) != 0 || ::listen(fd, 5) != 0)
            return 1;
        if (port_of(fd) != host_port || ::fcntl(fd, F_GETFD) != FD_CLOEXEC || (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0)
            return 2;
        const int client = ::accept(fd, nullptr, nullptr);
        return ::write(client, "yes", 3) == 3 ? 0 : 3;
    }};
    std::thread client{[&] {
        UniqueFd fd{::socket(AF_INET, SOCK_STREAM, 0)};
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(host_port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        char text[4] = "";
        if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) [[maybe_unused]]
            const auto n = ::read(fd.get(), text, 3);
        CHECK(std::string{text} == "yes");
    }};
    const auto answers = answer_all(payload, listener.get());
    client.join();
    CHECK(payload.end() == 0);
    CHECK(answers.outcomes == std::vector{Outcome::adopted});
}

TEST_CASE("O_NONBLOCK and close-on-exec are as the payload had them") {
    const auto listener = make_listener();
    Payload payload{[] {
        const int fd = make_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK);
        if (bind_ip(fd, AF_INET, declared_port) != 0)
            return 1;
        return (::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 && ::fcntl(fd, F_GETFD) == 0 ? 0 : 2;
    }};
    answer_all(payload, listener.get());
    CHECK(payload.end() == 0);
}

TEST_CASE("every other bind is the kernel's own") {
    const auto listener = make_listener();
    Payload payload{[] {
        if (bind_ip(make_socket(AF_INET, SOCK_STREAM), AF_INET, 0) != 0)
            return 1;
        if (bind_ip(make_socket(AF_INET, SOCK_DGRAM), AF_INET, declared_port) != 0) // the port, but UDP
            return 2;
        sockaddr_un address{AF_UNIX, "/nonexistent/a-rather-long-path"};
        if (::bind(make_socket(AF_UNIX, SOCK_STREAM), reinterpret_cast<sockaddr*>(&address), sizeof address) != -1 ||
            errno != ENOENT)
            return 3;
        if (bind_ip(99, AF_INET, declared_port) != EBADF)
            return 4;
        if (bind_ip(STDIN_FILENO, AF_INET, declared_port) != ENOTSOCK)
            return 5;
        if (::bind(make_socket(AF_INET, SOCK_STREAM), reinterpret_cast<sockaddr*>(16), 16) != -1 || errno != EFAULT)
            return 6;
        return 0;
    }};
    const auto answers = answer_all(payload, listener.get());
    CHECK(payload.end() == 0);
    CHECK(answers.outcomes.size() == 6);
    CHECK(std::ranges::count(answers.outcomes, Outcome::continued) == 6);
}

TEST_CASE("after the listener's own family the other one is the payload's own") {
    const auto listener = make_listener();
    const auto own_port = port_of(bind_loopback(0).get()); // free on the payload's side of this test
    const std::vector<Listener> one{{own_port, AF_INET}};
    Payload payload{[&] {
        ::close(listener.get()); // the host's; here it was inherited
        const int four = make_socket(AF_INET, SOCK_STREAM);
        const int six = make_socket(AF_INET6, SOCK_STREAM);
        if (bind_ip(four, AF_INET, own_port) != 0 || bind_ip(six, AF_INET6, own_port) != 0)
            return 1;
        return port_of(four) != own_port && port_of(six) == own_port && look_at(six)->family == AF_INET6 ? 0 : 2;
    }};
    std::vector<Outcome> outcomes;
    while (payload.wait_request()) {
        const auto request = receive_bind(payload.notify_fd());
        REQUIRE((request && *request));
        const auto answer =
            answer_bind(payload.notify_fd(), **request, one, [&](std::size_t) { return dup(listener.get()); });
        REQUIRE(answer);
        outcomes.push_back(answer->outcome);
    }
    CHECK(payload.end() == 0);
    CHECK(outcomes == std::vector{Outcome::adopted, Outcome::continued});
}

TEST_CASE("a listener of the bind's own family comes first") {
    const std::vector<Listener> both{{80, AF_INET}, {80, AF_INET6}, {81, AF_INET6}};
    CHECK(match({1, 1, 3, AF_INET6, 80}, both) == 1);
    CHECK(match({1, 1, 3, AF_INET, 80}, both) == 0);
    CHECK(match({1, 1, 3, AF_INET, 81}, both) == 2);
    CHECK_FALSE(match({1, 1, 3, AF_INET, 82}, both));
    CHECK_FALSE(match({1, 1, 3, AF_INET, 0}, both));
    CHECK_FALSE(match({1, 1, 3, AF_UNIX, 80}, both));
}

TEST_CASE("a socket that the other family's listener displaced is given back when that family's bind comes") {
    const auto [own, other] = GENERATE(std::pair{AF_INET6, AF_INET}, std::pair{AF_INET, AF_INET6});
    UniqueFd listener{::socket(own, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    REQUIRE(bind_ip(listener.get(), own, 0) == 0);
    REQUIRE(::listen(listener.get(), 16) == 0);
    const auto own_port = port_of(bind_loopback(0).get()); // free on the payload's side of this test
    const std::vector<Listener> one{{own_port, own}};
    Payload payload{[&, own = own, other = other] {
        ::close(listener.get()); // the host's; here it was inherited
        const int first = make_socket(other, SOCK_STREAM | SOCK_CLOEXEC);
        const int second = make_socket(own, SOCK_STREAM);
        if (bind_ip(first, other, own_port) != 0 || ::listen(first, 5) != 0 || look_at(first)->family != own)
            return 1;
        if (bind_ip(second, own, own_port) != 0 || look_at(second)->family != own)
            return 2;
        const auto facts = look_at(first);
        return facts->family == other && facts->listening && port_of(first) == own_port &&
                       ::fcntl(first, F_GETFD) == FD_CLOEXEC
                   ? 0
                   : 3;
    }};
    const auto inode = look_at(listener.get())->inode;
    std::optional<Displaced> displaced;
    while (payload.wait_request()) {
        const auto request = receive_bind(payload.notify_fd());
        REQUIRE((request && *request));
        if (displaced)
            CHECK(put_back(payload.notify_fd(), **request, *displaced, inode, own_port));
        auto answer =
            answer_bind(payload.notify_fd(), **request, one, [&](std::size_t) { return dup(listener.get()); });
        REQUIRE(answer);
        displaced = std::move(answer->displaced);
    }
    CHECK(payload.end() == 0);
}

TEST_CASE("binding an adopted descriptor again succeeds: a restarted call must not fail") {
    const auto listener = make_listener();
    Payload payload{[] {
        const int fd = make_socket(AF_INET, SOCK_STREAM);
        return bind_ip(fd, AF_INET, declared_port) == 0 && bind_ip(fd, AF_INET, declared_port) == 0 ? 0 : 1;
    }};
    answer_all(payload, listener.get());
    CHECK(payload.end() == 0);
}

TEST_CASE("a socket that is bound already stays the payload's own") {
    const auto listener = make_listener();
    Payload payload{[] {
        const int fd = make_socket(AF_INET, SOCK_STREAM);
        return bind_ip(fd, AF_INET, 0) == 0 && bind_ip(fd, AF_INET, declared_port) == EINVAL ? 0 : 1;
    }};
    answer_all(payload, listener.get());
    CHECK(payload.end() == 0);
}

TEST_CASE("a bind in any thread of the payload is answered") {
    const auto listener = make_listener();
    Payload payload{[] {
        int result = 1;
        std::thread{[&] { result = bind_ip(make_socket(AF_INET, SOCK_STREAM), AF_INET, declared_port); }}.join();
        return result;
    }};
    const auto answers = answer_all(payload, listener.get());
    CHECK(payload.end() == 0);
    CHECK(answers.outcomes == std::vector{Outcome::adopted});
}

TEST_CASE("where the listener can't be had, the bind fails and the error says why") {
    Payload payload{[] { return bind_ip(make_socket(AF_INET, SOCK_STREAM), AF_INET, declared_port); }};
    REQUIRE(payload.wait_request());
    const auto request = receive_bind(payload.notify_fd());
    REQUIRE((request && *request));
    const auto answer = answer_bind(payload.notify_fd(), **request, one_listener, [](std::size_t) -> Result<UniqueFd> {
        return fail(os_error(ENOENT, "no such listener"));
    });
    REQUIRE_FALSE(answer);
    CHECK(answer.error().message.starts_with("no such listener"));
    CHECK(payload.end() == EADDRNOTAVAIL);
}

TEST_CASE("a payload that is killed while its bind waits is no error") {
    const auto listener = make_listener();
    Payload payload{[] { return bind_ip(make_socket(AF_INET, SOCK_STREAM), AF_INET, declared_port); }};
    REQUIRE(payload.wait_request());
    const auto request = receive_bind(payload.notify_fd());
    REQUIRE((request && *request));
    ::kill(payload.pid(), SIGKILL);
    CHECK(payload.end() == 128 + SIGKILL);
    const auto answer =
        answer_bind(payload.notify_fd(), **request, one_listener, [&](std::size_t) { return dup(listener.get()); });
    REQUIRE(answer);
    CHECK(answer->outcome == Outcome::gone);
    CHECK(let_continue(payload.notify_fd(), **request)); // too late, and no error either
}

TEST_CASE("receiving does not wait where there is nothing") {
    Payload payload{[] { return ::pause(); }};
    const auto request = receive_bind(payload.notify_fd());
    REQUIRE(request);
    CHECK_FALSE(*request);
}

TEST_CASE("a backlog that a payload shrank, and a listener that it shut down, are set right") {
    const auto listener = make_listener(1);
    REQUIRE(::shutdown(listener.get(), SHUT_RDWR) == 0);
    auto facts = look_at(listener.get());
    REQUIRE(facts);
    CHECK_FALSE(facts->listening);
    const auto port = port_of(listener.get());
    REQUIRE(restore_backlog(listener.get()));
    facts = look_at(listener.get());
    REQUIRE(facts);
    CHECK(facts->listening);
    CHECK(port_of(listener.get()) == port);
}

TEST_CASE("a socket is found again in another process by its inode") {
    auto listener = make_listener();
    const auto inode = look_at(listener.get())->inode;
    const auto port = port_of(listener.get());
    Payload payload{[] { return ::pause(); }}; // has inherited it
    listener = UniqueFd{};
    const auto found = take_socket_of(payload.pid(), inode);
    REQUIRE(found);
    CHECK(port_of(found->get()) == port);
    const auto missing = take_socket_of(payload.pid(), 1);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == std::errc::no_such_file_or_directory);
}

#if defined(__x86_64__)
namespace {

/// The 32-bit entry of the kernel, which a 64-bit program can use too: its calls are i386 calls.
long call_i386(long number, unsigned first, unsigned second, unsigned third) {
    long result = number;
    asm volatile("int $0x80" : "+a"(result) : "b"(first), "c"(second), "d"(third) : "memory", "r8", "r9", "r10", "r11");
    return result;
}

/// A kernel without them ends who tries by a signal.
bool runs_i386_calls() {
    const pid_t child = ::fork();
    if (child == 0) {
        ::signal(SIGSEGV, SIG_DFL);
        ::_exit(call_i386(20 /* getpid */, 0, 0, 0) == ::getpid() ? 0 : 1);
    }
    int status = 1;
    return ::waitpid(child, &status, 0) == child && status == 0;
}

struct Low { // in the first 4 GiB, where a 32-bit pointer reaches
    sockaddr_in address;
    unsigned arguments[3];
};

Low* make_low() {
    void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    auto* low = static_cast<Low*>(page);
    low->address.sin_family = AF_INET;
    low->address.sin_port = htons(declared_port);
    return low;
}

unsigned low_pointer(const void* pointer) { return static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(pointer)); }

} // namespace

TEST_CASE("a 32-bit program's bind(2) and socketcall(2) are adopted") {
    if (!runs_i386_calls()) {
        WARN("this kernel runs no 32-bit programs");
        return;
    }
    const auto listener = make_listener();
    const auto host_port = port_of(listener.get());
    const bool by_socketcall = GENERATE(false, true);
    Payload payload{[&] {
        const int fd = make_socket(AF_INET, SOCK_STREAM);
        Low* low = make_low();
        const unsigned address = low_pointer(&low->address);
        low->arguments[0] = static_cast<unsigned>(fd);
        low->arguments[1] = address;
        low->arguments[2] = sizeof low->address;
        const long result = by_socketcall ? call_i386(102, 2, low_pointer(low->arguments), 0)
                                          : call_i386(361, static_cast<unsigned>(fd), address, sizeof low->address);
        return result == 0 && port_of(fd) == host_port ? 0 : 1;
    }};
    const auto answers = answer_all(payload, listener.get());
    CHECK(payload.end() == 0);
    CHECK(answers.outcomes == std::vector{Outcome::adopted});
}
#endif

} // namespace ctrd::activation

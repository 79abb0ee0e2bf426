// payload MODE [ARGUMENT...]: a container's only program, for tests.
#include "tests/init/payload.hpp"

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

volatile std::sig_atomic_t caught = 0;

void note(int signal) { caught = signal; }

/// As PID 1 it hears nothing: SIGTERM's default action does not count there.
int deaf() {
    std::puts("deaf");
    for (;;)
        ::pause();
}

/// Catches the signal, only `late` ms after its start; then takes 200 ms to finish.
int graceful(int signal, unsigned late) {
    ::usleep(late * 1000);
    struct sigaction action {};
    action.sa_handler = note;
    ::sigaction(signal, &action, nullptr);
    std::puts("catching");
    while (caught == 0)
        ::pause();
    std::printf("got signal %d\n", static_cast<int>(caught));
    ::usleep(200 * 1000);
    std::puts("finished");
    return 0;
}

/// Never in a handler: blocked, and fetched.
int waiting(int signal) {
    sigset_t mask;
    ::sigemptyset(&mask);
    ::sigaddset(&mask, signal);
    ::sigprocmask(SIG_BLOCK, &mask, nullptr);
    std::puts("waiting");
    int got = 0;
    ::sigwait(&mask, &got);
    std::printf("got signal %d\n", got);
    return 0;
}

int number(int argc, char** argv, int index, int otherwise) {
    return index < argc ? std::atoi(argv[index]) : otherwise;
}

std::uint16_t port(int argc, char** argv, int index) {
    return static_cast<std::uint16_t>(number(argc, argv, index, 0));
}

} // namespace

int main(int argc, char** argv) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    const char* mode = argc > 1 ? argv[1] : "";
    const auto is = [&](const char* name) { return std::strcmp(mode, name) == 0; };
    if (is("exit"))
        return number(argc, argv, 2, 0);
    if (is("deaf"))
        return deaf();
    if (is("graceful"))
        return graceful(number(argc, argv, 2, SIGTERM), static_cast<unsigned>(number(argc, argv, 3, 0)));
    if (is("waiting"))
        return waiting(number(argc, argv, 2, SIGTERM));
    if (is("serve"))
        return payload::serve(port(argc, argv, 2), false);
    if (is("serve6"))
        return payload::serve(port(argc, argv, 2), true);
    if (is("attack"))
        return payload::attack(-1, port(argc, argv, 2), port(argc, argv, 3));
    if (is("attack-passed"))
        return payload::attack(3, 0, port(argc, argv, 2));
    if (is("control"))
        return payload::control(port(argc, argv, 2));
    std::fprintf(stderr, "payload: unknown mode '%s'\n", mode);
    return 64;
}

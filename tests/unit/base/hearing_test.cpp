#include "ctrd/base/hearing.hpp"

#include <catch2/catch.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

namespace ctrd {
namespace {

std::string status(const char* blocked, const char* ignored, const char* caught, const char* pids) {
    return std::string{"Name:\tx\nNSpid:\t"} + pids + "\nShdPnd:\t0000000000000000\nSigBlk:\t" + blocked +
           "\nSigIgn:\t" + ignored + "\nSigCgt:\t" + caught + "\nCapInh:\t0\n";
}

constexpr const char* none = "0000000000000000";
constexpr const char* term = "0000000000004000"; // bit 14: SIGTERM

bool hears(const std::string& text, int signal = SIGTERM) {
    const auto hearing = parse_hearing(text);
    REQUIRE(hearing);
    return would_act_on(signal, *hearing);
}

/// What is known of a child that runs `body`, once it has had the time to come to rest.
bool child_hears(const std::function<void()>& body, int signal) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::signal(SIGINT, SIG_DFL); // Catch's own handlers
        ::signal(SIGTERM, SIG_DFL);
        body();
        ::_exit(0);
    }
    ::usleep(100'000);
    auto hearing = read_hearing(child);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    REQUIRE(hearing);
    hearing->namespace_init = true;
    return would_act_on(signal, *hearing);
}

} // namespace

TEST_CASE("PID 1 of a namespace hears only what it catches or blocks") {
    CHECK_FALSE(hears(status(none, none, none, "4711\t1")));
    CHECK(hears(status(none, none, term, "4711\t1")));
    CHECK(hears(status(term, none, none, "4711\t1"))); // signalfd
    CHECK_FALSE(hears(status(none, none, term, "4711\t1"), SIGINT));
}

TEST_CASE("any other process hears what it does not ignore") {
    CHECK(hears(status(none, none, none, "4711")));
    CHECK(hears(status(none, none, none, "4711\t11")));
    CHECK_FALSE(hears(status(none, term, none, "4711")));
}

TEST_CASE("real-time signals count like the others") {
    CHECK(hears(status(none, none, "8000000000000000", "4711\t1"), 64));
    CHECK_FALSE(hears(status(none, none, "8000000000000000", "4711\t1"), 63));
}

TEST_CASE("a status without its lines is an error") {
    CHECK_FALSE(parse_hearing("Name:\tx\n"));
    CHECK_FALSE(parse_hearing(""));
}

TEST_CASE("a process that sits in sigwait hears what it waits for, though the kernel shows it as not blocked") {
    const auto wait_for_term = [] {
        sigset_t set;
        ::sigemptyset(&set);
        ::sigaddset(&set, SIGTERM);
        ::sigprocmask(SIG_BLOCK, &set, nullptr);
        int got = 0;
        ::sigwait(&set, &got);
    };
    CHECK(child_hears(wait_for_term, SIGTERM));
    CHECK_FALSE(child_hears(wait_for_term, SIGINT));
    CHECK_FALSE(child_hears([] { ::pause(); }, SIGTERM));
}

} // namespace ctrd

// Times the first byte of an answer from a service that stands by when the connection comes. Each round brings every
// service back to its standby and asks each one once, in a new order.
//
//     bench-connect RUNS WARMUP JSON-FILE < CASES        (JSON-FILE may be '')
//
// CASES: one line each: program, name, unit, port, standby, separated by tabs. 'plain' is what the others are compared
// with. Standby: 'stopped', 'created', or 'frozen', which is waited for.
#include "tools/bench/stats.hpp"

#include <fmt/format.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <optional>
#include <random>
#include <sstream>

extern char** environ;

namespace ctrd::bench {
namespace {

constexpr timeval patience{20, 0};
constexpr int most_tries = 2000;
constexpr useconds_t try_again_us = 10000;
constexpr useconds_t settle_us = 150000; // what follows a start and a stop is not the next one's cost

struct Case {
    std::string program{};
    std::string name{};
    std::string unit{};
    int port{0};
    std::string standby{};
    std::vector<double> series{};
};

std::vector<Case> read_cases() {
    std::vector<Case> cases;
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream fields{line};
        Case item;
        if (fields >> item.program >> item.name >> item.unit >> item.port >> item.standby)
            cases.push_back(std::move(item));
    }
    return cases;
}

bool systemctl(const char* verb, const std::string& unit) {
    const char* argv[] = {"systemctl", "--quiet", verb, unit.c_str(), nullptr};
    pid_t pid = -1;
    int status = -1;
    if (::posix_spawnp(&pid, argv[0], nullptr, nullptr, const_cast<char**>(argv), environ) == 0)
        ::waitpid(pid, &status, 0);
    return status == 0;
}

bool await_frozen(const std::string& unit) {
    const std::string path = "/sys/fs/cgroup/machine.slice/" + unit + "/payload/cgroup.events";
    for (int tries = 0; tries < most_tries; ++tries) {
        std::ifstream file{path};
        const std::string events{std::istreambuf_iterator<char>{file}, {}};
        if (events.find("frozen 1") != std::string::npos)
            return true;
        ::usleep(try_again_us);
    }
    return false;
}

bool stand_by(const Case& item) {
    const bool done = item.standby == "frozen"    ? await_frozen(item.unit)
                      : item.standby == "created" ? systemctl("restart", item.unit)
                                                  : systemctl("stop", item.unit);
    ::usleep(settle_us);
    return done;
}

/// Milliseconds from before connect() until the first byte has come; nothing where no good answer did.
std::optional<double> first_byte(int port) {
    static constexpr char request[] = "GET / HTTP/1.0\r\nHost: bench\r\n\r\n";
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<in_port_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    std::string answer(1, '\0');
    const double begin = now_ms();
    const bool came = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
                      ::send(fd, request, sizeof request - 1, MSG_NOSIGNAL) > 0 && ::recv(fd, answer.data(), 1, 0) == 1;
    const double end = now_ms();

    char more[1024];
    for (ssize_t length = 0; came && (length = ::recv(fd, more, sizeof more, 0)) > 0;)
        answer.append(more, static_cast<std::size_t>(length));
    ::close(fd);
    if (!came || answer.find(" 200 ") == std::string::npos)
        return std::nullopt;
    return end - begin;
}

bool measure(std::vector<Case>& cases, int runs, int warmup) {
    std::mt19937 random{20250101};
    std::vector<Case*> round;
    for (Case& item : cases)
        round.push_back(&item);
    for (int turn = -warmup; turn < runs; ++turn) {
        std::ranges::shuffle(round, random);
        for (Case* item : round) {
            if (!stand_by(*item)) {
                fmt::print(stderr, "bench: '{}' is not {}\n", item->unit, item->standby);
                return false;
            }
            const auto ms = first_byte(item->port);
            if (!ms) {
                fmt::print(stderr, "bench: no answer from '{}' on port {}\n", item->unit, item->port);
                return false;
            }
            if (turn >= 0)
                item->series.push_back(*ms);
        }
    }
    return true;
}

double plain_median(const std::vector<Case>& cases, const std::string& program) {
    for (const Case& item : cases)
        if (item.program == program && item.name == "plain")
            return figures_of(item.series).median;
    return 0;
}

nlohmann::json report(const std::vector<Case>& cases, int runs) {
    nlohmann::json all{{"benchmark", "connect"}, {"runs", runs}, {"results", nlohmann::json::array()}};
    fmt::print("{:<30}{:>9}{:>9}{:>9}{:>9}{:>10}\n", "first byte, ms", "median", "p10", "p90", "p99", "x plain");
    for (const Case& item : cases) {
        const Figures figures = figures_of(item.series);
        const double ratio = figures.median / plain_median(cases, item.program);
        fmt::print("  {:<28}{:>9.2f}{:>9.2f}{:>9.2f}{:>9.2f}{:>10.2f}\n", item.program + ", " + item.name,
                   figures.median, figures.p10, figures.p90, figures.p99, ratio);
        nlohmann::json one{
            {"program", item.program}, {"name", item.name}, {"standby", item.standby}, {"to_plain", ratio}};
        one.update(to_json(figures));
        all["results"].push_back(std::move(one));
    }
    return all;
}

int run(int runs, int warmup, const std::string& json) {
    std::vector<Case> cases = read_cases();
    if (cases.empty() || !measure(cases, runs, warmup))
        return 1;
    const auto all = report(cases, runs);
    if (json.empty())
        return 0;
    std::ofstream file{json};
    file << all.dump(2) << "\n";
    file.close();
    return file.fail() ? 1 : 0;
}

} // namespace
} // namespace ctrd::bench

int main(int argc, char** argv) {
    if (argc != 4 || std::atoi(argv[1]) < 1) {
        std::fputs("usage: bench-connect RUNS WARMUP JSON-FILE < CASES; use tools/bench/bench\n", stderr);
        return 2;
    }
    return ctrd::bench::run(std::atoi(argv[1]), std::atoi(argv[2]), argv[3]);
}

// Times how long each runtime takes from its own start to its end, around a payload that ends at once. The runs are
// interleaved: each round runs every case once, in a new order, so that what disturbs the machine disturbs all alike.
//
//     bench-start [--runs N] [--warmup N] [--json FILE] < CASES
//
// CASES: one line each, fields separated by tabs: bundle, name, program, arguments. '@ID@' in an argument becomes an id
// that was not used before. tools/bench/bench writes them.
#include "tools/bench/stats.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <string_view>

extern char** environ;

namespace ctrd::bench {
namespace {

constexpr int payload_status = 42;
constexpr useconds_t settle_us =
    5000; // the kernel tears namespaces down after the exit; that is not the next one's cost

struct Options {
    int runs{60};
    int warmup{5};
    std::string json{};
};

struct Case {
    std::string bundle{};
    std::string name{};
    std::vector<std::string> command{};
    std::vector<double> series{};
    std::vector<double> processor{}; // user and system time, of its descendants too
    double memory_mib{0};            // its peak, in the run that checks it
    std::string problem{};           // why it is not timed
};

std::vector<std::string> split(const std::string& line) {
    std::vector<std::string> fields;
    std::size_t begin = 0;
    for (std::size_t end = 0; end != std::string::npos; begin = end + 1) {
        end = line.find('\t', begin);
        fields.push_back(line.substr(begin, end - begin));
        if (end == std::string::npos)
            break;
    }
    return fields;
}

std::vector<Case> read_cases(std::FILE* from) {
    std::vector<Case> cases;
    char* line = nullptr;
    std::size_t size = 0;
    for (ssize_t length = 0; (length = ::getline(&line, &size, from)) > 0;) {
        const auto fields = split({line, static_cast<std::size_t>(length - (line[length - 1] == '\n' ? 1 : 0))});
        if (fields.size() >= 3)
            cases.push_back({fields[0], fields[1], {fields.begin() + 2, fields.end()}});
    }
    std::free(line);
    return cases;
}

std::vector<std::string> with_id(std::vector<std::string> command) {
    static int last = 0;
    const std::string id = fmt::format("bench-{}-{}", ::getpid(), ++last);
    for (std::string& argument : command)
        for (std::size_t at = 0; (at = argument.find("@ID@", at)) != std::string::npos; at += id.size())
            argument.replace(at, 4, id);
    return command;
}

struct Run {
    double ms{0};
    double processor_ms{0};
    int status{0};
};

double milliseconds(const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
}

/// One run, from before the spawn until the runtime has been reaped. Its output goes to `output`.
Run run_once(const Case& item, int output) {
    const std::vector<std::string> command = with_id(item.command);
    std::vector<char*> argv;
    for (const std::string& argument : command)
        argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, output, 1);
    ::posix_spawn_file_actions_adddup2(&actions, output, 2);

    pid_t pid = -1;
    int status = 0;
    rusage used{};
    const double begin = now_ms();
    const int err = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ);
    if (err == 0)
        ::wait4(pid, &status, 0, &used);
    const double end = now_ms();

    ::posix_spawn_file_actions_destroy(&actions);
    ::usleep(settle_us);
    if (err != 0)
        return {0, 0, 127};
    return {end - begin, milliseconds(used.ru_utime) + milliseconds(used.ru_stime),
            WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)};
}

std::string read_back(int file) {
    std::string text(4096, '\0');
    const ssize_t length = ::pread(file, text.data(), text.size(), 0);
    text.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
    while (text.ends_with('\n'))
        text.pop_back();
    return text;
}

/// Runs it once, untimed: does the payload really run? Measures its memory on the way.
std::string find_problem(Case& item, const std::string& launcher) {
    const int output = ::memfd_create("output", MFD_CLOEXEC);
    const int peak = ::memfd_create("peak", 0);
    Case measured = item;
    measured.command.insert(measured.command.begin(), {launcher, "memory", std::to_string(peak)});
    const Run run = run_once(measured, output);
    const std::string said = read_back(output);
    ::close(output);
    if (int kib = 0; ::pread(peak, &kib, sizeof kib, 0) == sizeof kib)
        item.memory_mib = kib / 1024.0;
    ::close(peak);
    if (run.status == payload_status)
        return {};
    return fmt::format("status {} instead of the payload's {}: {}", run.status, payload_status,
                       said.empty() ? "(it said nothing)" : said);
}

void measure(std::vector<Case>& cases, const Options& options) {
    const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    std::mt19937 random{20250101}; // the same order each time
    std::vector<Case*> round;
    for (Case& item : cases)
        if (item.problem.empty())
            round.push_back(&item);
    for (int turn = -options.warmup; turn < options.runs; ++turn) {
        std::ranges::shuffle(round, random);
        for (Case* item : round) {
            if (!item->problem.empty())
                continue;
            const Run run = run_once(*item, nowhere);
            if (run.status != payload_status)
                item->problem = fmt::format("status {} in round {}", run.status, turn);
            if (turn < 0 || run.status != payload_status)
                continue;
            item->series.push_back(run.ms);
            item->processor.push_back(run.processor_ms);
        }
    }
    ::close(nowhere);
}

std::optional<double> median_of(const std::vector<Case>& cases, const std::string& bundle, std::string_view name) {
    for (const Case& item : cases)
        if (item.bundle == bundle && item.name == name && item.problem.empty() && !item.series.empty())
            return figures_of(item.series).median;
    return std::nullopt;
}

std::string ratio(double value, std::optional<double> base) {
    return base ? fmt::format("{:.2f}", value / *base) : "-";
}

void print_table(const std::vector<Case>& cases, const std::string& bundle) {
    const auto crun = median_of(cases, bundle, "crun");
    const auto floor = median_of(cases, bundle, "floor");
    fmt::print("{:<24}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}\n", bundle + ", ms", "median", "p10", "p90", "x crun",
               "x floor", "cpu", "rss");
    for (const Case& item : cases) {
        if (item.bundle != bundle)
            continue;
        if (!item.problem.empty()) {
            fmt::print("  {:<22}  not measured: {}\n", item.name, item.problem);
            continue;
        }
        const Figures figures = figures_of(item.series);
        fmt::print("  {:<22}{:>9.2f}{:>9.2f}{:>9.2f}{:>9}{:>9}{:>9.2f}{:>9.2f}\n", item.name, figures.median,
                   figures.p10, figures.p90, ratio(figures.median, crun), ratio(figures.median, floor),
                   figures_of(item.processor).median, item.memory_mib);
    }
    fmt::print("\n");
}

nlohmann::json report(const std::vector<Case>& cases, const Options& options) {
    utsname system{};
    ::uname(&system);
    nlohmann::json all{{"benchmark", "start"},
                       {"runs", options.runs},
                       {"kernel", system.release},
                       {"processors", ::sysconf(_SC_NPROCESSORS_ONLN)},
                       {"results", nlohmann::json::array()}};
    for (const Case& item : cases) {
        nlohmann::json one{{"bundle", item.bundle}, {"name", item.name}, {"command", item.command}};
        if (!item.problem.empty()) {
            one["problem"] = item.problem;
        } else {
            const Figures figures = figures_of(item.series);
            one.update(to_json(figures));
            one["cpu_median_ms"] = figures_of(item.processor).median;
            one["peak_rss_mib"] = item.memory_mib;
            if (const auto crun = median_of(cases, item.bundle, "crun"))
                one["to_crun"] = figures.median / *crun;
            if (const auto floor = median_of(cases, item.bundle, "floor"))
                one["to_floor"] = figures.median / *floor;
        }
        all["results"].push_back(std::move(one));
    }
    return all;
}

std::optional<Options> parse(int argc, char** argv) {
    Options options;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const std::string_view value = argv[i + 1];
        int* number = name == "--runs" ? &options.runs : name == "--warmup" ? &options.warmup : nullptr;
        if (name == "--json")
            options.json = value;
        else if (number == nullptr)
            return std::nullopt;
        else if (const auto [end, err] = std::from_chars(value.data(), value.data() + value.size(), *number);
                 err != std::errc{} || end != value.data() + value.size())
            return std::nullopt;
    }
    if (argc % 2 == 0 || options.runs < 1 || options.warmup < 0)
        return std::nullopt;
    return options;
}

bool write_json(const std::string& path, const nlohmann::json& value) {
    std::ofstream file{path};
    file << value.dump(2) << "\n";
    file.close();
    return !file.fail();
}

/// 0; 1 where the report can't be written or ctr-oci or the floor, which are ours, could not be measured.
int run(const Options& options, const std::string& launcher) {
    std::vector<Case> cases = read_cases(stdin);
    for (Case& item : cases)
        item.problem = find_problem(item, launcher);
    measure(cases, options);

    std::vector<std::string> bundles;
    bool ours_failed = cases.empty();
    for (const Case& item : cases) {
        if (std::ranges::find(bundles, item.bundle) == bundles.end())
            bundles.push_back(item.bundle);
        ours_failed |= !item.problem.empty() && (item.name == "ctr-oci" || item.name == "floor");
    }
    for (const std::string& bundle : bundles)
        print_table(cases, bundle);
    if (!options.json.empty() && !write_json(options.json, report(cases, options))) {
        fmt::print(stderr, "bench: cannot write '{}'\n", options.json);
        return 1;
    }
    return ours_failed ? 1 : 0;
}

} // namespace
} // namespace ctrd::bench

int main(int argc, char** argv) {
    const auto options = ctrd::bench::parse(argc, argv);
    if (!options) {
        std::fputs("usage: bench-start [--runs N] [--warmup N] [--json FILE] < CASES; use tools/bench/bench\n", stderr);
        return 2;
    }
    const std::string self = argv[0];
    return ctrd::bench::run(*options, self.substr(0, self.rfind('/') + 1) + "bench-payload");
}

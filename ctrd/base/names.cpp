#include "ctrd/base/names.hpp"

#include "ctrd/base/text.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <csignal>
#include <utility>
#include <vector>

namespace ctrd {
namespace {

bool is_alnum(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

struct SignalName {
    std::string_view name;
    int number;
};
constexpr std::array signal_names{
    SignalName{"HUP", SIGHUP},       SignalName{"INT", SIGINT},       SignalName{"QUIT", SIGQUIT},
    SignalName{"ILL", SIGILL},       SignalName{"TRAP", SIGTRAP},     SignalName{"ABRT", SIGABRT},
    SignalName{"BUS", SIGBUS},       SignalName{"FPE", SIGFPE},       SignalName{"KILL", SIGKILL},
    SignalName{"USR1", SIGUSR1},     SignalName{"SEGV", SIGSEGV},     SignalName{"USR2", SIGUSR2},
    SignalName{"PIPE", SIGPIPE},     SignalName{"ALRM", SIGALRM},     SignalName{"TERM", SIGTERM},
    SignalName{"STKFLT", SIGSTKFLT}, SignalName{"CHLD", SIGCHLD},     SignalName{"CONT", SIGCONT},
    SignalName{"STOP", SIGSTOP},     SignalName{"TSTP", SIGTSTP},     SignalName{"TTIN", SIGTTIN},
    SignalName{"TTOU", SIGTTOU},     SignalName{"URG", SIGURG},       SignalName{"XCPU", SIGXCPU},
    SignalName{"XFSZ", SIGXFSZ},     SignalName{"VTALRM", SIGVTALRM}, SignalName{"PROF", SIGPROF},
    SignalName{"WINCH", SIGWINCH},   SignalName{"IO", SIGIO},         SignalName{"POLL", SIGPOLL},
    SignalName{"PWR", SIGPWR},       SignalName{"SYS", SIGSYS},       SignalName{"CLD", SIGCHLD},
};

/// The kernel's numbers, not glibc's: glibc keeps two real-time signals to itself.
constexpr int kernel_rtmin = 34;
constexpr int kernel_rtmax = 64;

/// Letters that are inserted, left out, changed, or exchanged with their neighbour.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1);
    std::vector<std::size_t> last(b.size() + 1);
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j)
        row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        before = std::exchange(last, row);
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
    }
    return row[b.size()];
}

} // namespace

bool is_container_name(std::string_view name) noexcept {
    if (name.empty() || name.size() > 64 || !is_alnum(name.front()) || !is_alnum(name.back()))
        return false;
    return name.find("..") == std::string_view::npos &&
           std::ranges::all_of(name, [](char c) { return is_alnum(c) || c == '.' || c == '-'; });
}

Result<void> check_container_name(std::string_view name) {
    if (is_container_name(name))
        return {};
    return fail(bad_input("'" + std::string{name} + "' is not a container name",
                          "use 1 to 64 letters, digits, '-' and '.', beginning and ending with a letter or digit"));
}

bool is_container_id(std::string_view id) noexcept {
    if (id.empty() || id.size() > 1024 || id == "." || id == "..")
        return false;
    return std::ranges::all_of(id, [](char c) { return is_alnum(c) || c == '_' || c == '+' || c == '.' || c == '-'; });
}

Result<int> parse_signal(std::string_view text) {
    const auto unknown = [&] {
        return fail(bad_input("'" + std::string{text} + "' is not a signal", "use a name such as SIGTERM, or 1 to 64"));
    };
    if (const auto number = parse_number<int>(text))
        return *number >= 1 && *number <= kernel_rtmax ? Result<int>{*number} : unknown();
    std::string upper{text};
    std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    std::string_view name = upper;
    if (name.starts_with("SIG"))
        name.remove_prefix(3);
    for (const auto& known : signal_names)
        if (known.name == name)
            return known.number;
    const bool from_min = name.starts_with("RTMIN");
    if (!from_min && !name.starts_with("RTMAX"))
        return unknown();
    name.remove_prefix(5);
    const int base = from_min ? kernel_rtmin : kernel_rtmax;
    if (name.empty())
        return base;
    const auto number = parse_number<int>(name.substr(1));
    if (name.front() != (from_min ? '+' : '-') || !number || *number < 0 || *number > 30)
        return unknown();
    return from_min ? base + *number : base - *number;
}

std::string signal_name(int number) {
    for (const auto& known : signal_names)
        if (known.number == number)
            return "SIG" + std::string{known.name};
    if (number > kernel_rtmin && number <= kernel_rtmax)
        return "SIGRTMIN+" + std::to_string(number - kernel_rtmin);
    return number == kernel_rtmin ? "SIGRTMIN" : std::to_string(number);
}

std::string_view nearest(std::string_view name, std::span<const std::string_view> candidates) {
    std::string_view best;
    std::size_t least = name.size() / 3 + 2; // about one slip per three letters
    for (const auto candidate : candidates)
        if (const auto distance = edit_distance(name, candidate); distance < least) {
            least = distance;
            best = candidate;
        }
    return best;
}

} // namespace ctrd

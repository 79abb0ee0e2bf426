#include "ctrd/oci/names.hpp"

#include <linux/sched.h>
#include <sys/capability.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace ctrd::oci {
namespace {

template <class T, std::size_t N>
std::optional<T> look_up(const std::array<std::pair<std::string_view, T>, N>& table, std::string_view name) {
    const auto it = std::ranges::find(table, name, &std::pair<std::string_view, T>::first);
    return it == table.end() ? std::nullopt : std::optional<T>{it->second};
}

using Limit = std::pair<std::string_view, int>;
constexpr std::array limits{
    Limit{"RLIMIT_AS", RLIMIT_AS},
    Limit{"RLIMIT_CORE", RLIMIT_CORE},
    Limit{"RLIMIT_CPU", RLIMIT_CPU},
    Limit{"RLIMIT_DATA", RLIMIT_DATA},
    Limit{"RLIMIT_FSIZE", RLIMIT_FSIZE},
    Limit{"RLIMIT_LOCKS", RLIMIT_LOCKS},
    Limit{"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
    Limit{"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
    Limit{"RLIMIT_NICE", RLIMIT_NICE},
    Limit{"RLIMIT_NOFILE", RLIMIT_NOFILE},
    Limit{"RLIMIT_NPROC", RLIMIT_NPROC},
    Limit{"RLIMIT_RSS", RLIMIT_RSS},
    Limit{"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
    Limit{"RLIMIT_RTTIME", RLIMIT_RTTIME},
    Limit{"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    Limit{"RLIMIT_STACK", RLIMIT_STACK},
};

using Flag = std::pair<std::string_view, std::uint64_t>;
constexpr std::array namespaces{
    Flag{"mount", CLONE_NEWNS},  Flag{"pid", CLONE_NEWPID},   Flag{"network", CLONE_NEWNET},
    Flag{"ipc", CLONE_NEWIPC},   Flag{"uts", CLONE_NEWUTS},   Flag{"cgroup", CLONE_NEWCGROUP},
    Flag{"user", CLONE_NEWUSER}, Flag{"time", CLONE_NEWTIME},
};

} // namespace

std::optional<unsigned> capability_number(const std::string& name) {
    cap_value_t number = 0;
    if (name.size() < 4 || ::cap_from_name(name.c_str(), &number) != 0 || number < 0 || number > 63)
        return std::nullopt;
    return static_cast<unsigned>(number);
}

std::string capability_name(unsigned number) {
    char* const text = ::cap_to_name(static_cast<cap_value_t>(number));
    std::string name = text == nullptr ? std::to_string(number) : text;
    ::cap_free(text);
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return name.starts_with("CAP_") ? name : "CAP_" + name;
}

std::optional<int> rlimit_number(std::string_view name) { return look_up(limits, name); }

std::optional<std::uint64_t> namespace_flag(std::string_view type) { return look_up(namespaces, type); }

} // namespace ctrd::oci

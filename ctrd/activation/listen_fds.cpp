#include "ctrd/activation/listen_fds.hpp"

#include "ctrd/base/text.hpp"

#include <fcntl.h>

#include <cerrno>
#include <cstdlib>
#include <string_view>

namespace ctrd::activation {
namespace {

constexpr int first_listen_fd = 3;

/// The variable's value, copied, since it is removed with the others before it is used.
std::string take_variable(const char* name) {
    const char* value = std::getenv(name);
    std::string copy = value == nullptr ? "" : value;
    ::unsetenv(name);
    return copy;
}

Result<int> parse_count(const char* variable, const std::string& text) {
    const auto number = parse_number<int>(text);
    if (!number || *number < 0)
        return fail(bad_input("$" + std::string{variable} + " is not a number: '" + text + "'"));
    return *number;
}

} // namespace

Result<std::vector<ListenFd>> listen_fds_from_environment() {
    const std::string pid = take_variable("LISTEN_PID");
    const std::string count = take_variable("LISTEN_FDS");
    const std::string names = take_variable("LISTEN_FDNAMES");
    std::vector<ListenFd> result;
    if (pid.empty() || count.empty() || TRY(parse_count("LISTEN_PID", pid)) != ::getpid())
        return result;
    const int number = TRY(parse_count("LISTEN_FDS", count));
    std::string_view rest = names;
    for (int i = 0; i < number; ++i) {
        const int fd = first_listen_fd + i;
        if (::fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
            return fail(os_error(errno, "$LISTEN_FDS promises " + count + " descriptors, but " + std::to_string(fd) +
                                            " is not open"));
        const std::string_view name = rest.substr(0, rest.find(':'));
        rest.remove_prefix(std::min(rest.size(), name.size() + 1));
        result.push_back({UniqueFd{fd}, name.empty() ? "unknown" : std::string{name}});
    }
    return result;
}

} // namespace ctrd::activation

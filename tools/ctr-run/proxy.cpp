#include "tools/ctr-run/proxy.hpp"

#include "ctrd/base/file.hpp"
#include "tools/ctr-run/unit.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>

namespace ctrd::run {
namespace {

constexpr const char* program = CTRD_LIBEXECDIR "/ctr-proxy";
constexpr std::string_view own_user = "ctrd-proxy";
constexpr unsigned nobody = 65534;

struct User {
    unsigned user{nobody};
    unsigned group{nobody};
};

/// Of the host's /etc/passwd; nobody where the user was not made.
User proxy_user() {
    const auto passwd = read_file("/etc/passwd", 16U << 20);
    const std::string text = passwd ? "\n" + *passwd : "";
    std::size_t at = text.find("\n" + std::string{own_user} + ":");
    User found;
    if (at == std::string::npos || (at = text.find(':', text.find(':', at) + 1)) == std::string::npos)
        return found;
    const char* const end = text.data() + text.size();
    User read;
    const auto user = std::from_chars(text.data() + at + 1, end, read.user);
    if (user.ec == std::errc{} && user.ptr < end && std::from_chars(user.ptr + 1, end, read.group).ec == std::errc{} &&
        read.user != 0)
        found = read;
    return found;
}

std::string word(const Route& route) {
    return std::to_string(route.number) + (route.datagram ? ":datagram:" : ":stream:") +
           (route.at_once ? "now:" : "wait:") + std::to_string(route.fd) + ":" +
           (route.path.empty() ? std::to_string(route.port) : route.path);
}

/// Below the payload's own, so that what happens to that happens to it.
Result<std::string> make_cgroup(const std::string& payload) {
    const std::string folder = payload + "/ctrd-proxy";
    if (::mkdir(folder.c_str(), 0755) < 0 && errno != EEXIST)
        return fail(os_error(errno, "cannot make the cgroup '" + folder + "'"));
    copy_survival(payload, folder);
    return folder;
}

[[noreturn]] void become(const std::vector<std::string>& words, std::span<const int> fds) {
    for (const int fd : fds)
        ::fcntl(fd, F_SETFD, 0);
    std::vector<char*> arguments;
    for (const std::string& word : words)
        arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    char* const environment[] = {nullptr};
    ::execve(program, arguments.data(), environment);
    ::_exit(127);
}

} // namespace

Result<Proxy> Proxy::start(const std::string& name, const Place& place, std::span<const Route> routes,
                           std::chrono::milliseconds patience) {
    if (::access(program, X_OK) < 0)
        return fail(os_error(errno, "cannot run '" + std::string{program} + "'"));
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0)
        return fail(os_error(errno, "cannot make a pipe to the proxy"));
    UniqueFd ready{ends[0]};
    const UniqueFd theirs{ends[1]};
    const User user = proxy_user();
    std::vector<std::string> words{"ctr-proxy",
                                   name,
                                   std::to_string(theirs.get()),
                                   std::to_string(place.pidfd),
                                   TRY(make_cgroup(place.cgroup)),
                                   std::to_string(user.user),
                                   std::to_string(user.group),
                                   std::to_string(patience.count())};
    std::vector<int> fds{theirs.get(), place.pidfd};
    for (const Route& route : routes) {
        words.push_back(word(route));
        fds.push_back(route.fd);
    }
    const pid_t pid = ::fork();
    if (pid < 0)
        return fail(os_error(errno, "cannot start the proxy"));
    if (pid == 0)
        become(words, fds);
    return Proxy{pid, std::move(ready)};
}

std::optional<std::size_t> Proxy::next() const {
    std::uint16_t number = 0;
    return ::read(ready_.get(), &number, sizeof number) == sizeof number ? std::optional<std::size_t>{number}
                                                                         : std::nullopt;
}

void Proxy::end() const { ::kill(pid_, SIGKILL); }

} // namespace ctrd::run

#include "ctrd/bus/exec_request.hpp"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace ctrd::bus {
namespace {

constexpr std::size_t largest_list = 256 << 10;   // bytes, of the arguments and of the environment
constexpr std::size_t longest_string = 128 << 10; // MAX_ARG_STRLEN: execve(2) takes no longer ones
constexpr std::size_t longest_path = 4095;
constexpr std::size_t longest_user = 256;

int read_strings(sd_bus_message* message, std::vector<std::string>& strings) {
    int r = sd_bus_message_enter_container(message, 'a', "s");
    const char* text = nullptr;
    while (r >= 0 && (r = sd_bus_message_read(message, "s", &text)) > 0)
        strings.emplace_back(text);
    return r < 0 ? r : sd_bus_message_exit_container(message);
}

int read_string(sd_bus_message* message, std::string& value) {
    const char* text = nullptr;
    const int r = sd_bus_message_read(message, "v", "s", &text);
    if (r >= 0)
        value = text;
    return r;
}

int read_environment(sd_bus_message* message, std::vector<std::string>& environment) {
    int r = sd_bus_message_enter_container(message, 'v', "as");
    if (r >= 0)
        r = read_strings(message, environment);
    return r < 0 ? r : sd_bus_message_exit_container(message);
}

Result<void> read_option(sd_bus_message* call, ExecRequest& request) {
    const char* raw = nullptr;
    if (sd_bus_message_read(call, "s", &raw) < 0)
        return fail(bad_input("malformed options"));
    const std::string_view name = raw;
    int r = -ENOENT;
    if (name == "Environment")
        r = read_environment(call, request.environment);
    else if (name == "User")
        r = read_string(call, request.user);
    else if (name == "WorkingDirectory")
        r = read_string(call, request.directory);
    else if (name == "ConsoleSocket")
        r = sd_bus_message_read(call, "v", "h", &request.console_socket);
    if (r == -ENOENT)
        return fail(bad_input("unknown option '" + std::string{name} + "'",
                              "there are Environment, User, WorkingDirectory and ConsoleSocket"));
    if (r < 0)
        return fail(bad_input("option '" + std::string{name} + "' has the wrong type"));
    return {};
}

Result<void> read_options(sd_bus_message* call, ExecRequest& request) {
    int r = sd_bus_message_enter_container(call, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(call, 'e', "sv")) > 0) {
        TRY_VOID(read_option(call, request));
        r = sd_bus_message_exit_container(call);
    }
    if (r < 0 || sd_bus_message_exit_container(call) < 0)
        return fail(bad_input("malformed options"));
    return {};
}

std::size_t size_of(const std::vector<std::string>& strings) {
    std::size_t size = 0;
    for (const auto& one : strings)
        size += one.size() + 1;
    return size;
}

Result<void> check_list(const std::vector<std::string>& strings, const std::string& what) {
    if (size_of(strings) > largest_list)
        return fail(bad_input(what + " is larger than 256 KiB"));
    if (std::ranges::any_of(strings, [](const auto& one) { return one.size() >= longest_string; }))
        return fail(bad_input("a part of " + what + " is longer than 128 KiB"));
    return {};
}

bool has_control_character(std::string_view text) {
    return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; });
}

Result<void> check_console(int fd) {
    int domain = 0;
    socklen_t size = sizeof domain;
    if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0 || domain != AF_UNIX)
        return fail(bad_input("ConsoleSocket is not a unix socket"));
    return {};
}

} // namespace

Result<void> check_stdio(int fd) {
    struct stat facts {};
    if (::fstat(fd, &facts) < 0)
        return fail(os_error(errno, "cannot look at a descriptor"));
    const int flags = ::fcntl(fd, F_GETFL);
    if (S_ISDIR(facts.st_mode) || flags < 0 || (flags & O_PATH) != 0)
        return fail(bad_input("a folder can't be stdin, stdout or stderr of a command"));
    return {};
}

Result<void> check_exec_request(const ExecRequest& request) {
    if (request.args.empty() || request.args.front().empty())
        return fail(bad_input("no command to run"));
    TRY_VOID(check_list(request.args, "the command"));
    TRY_VOID(check_list(request.environment, "the environment"));
    for (const auto& variable : request.environment)
        if (variable.find('=') == 0 || variable.find('=') == std::string::npos)
            return fail(
                bad_input("'" + variable + "' is not an assignment to an environment variable", "as in 'NAME=VALUE'"));
    if (request.user.size() > longest_user || has_control_character(request.user))
        return fail(bad_input("User is not a user's name or number"));
    if (!request.directory.empty() && !request.directory.starts_with('/'))
        return fail(bad_input("the working directory '" + request.directory + "' is not an absolute path"));
    if (request.directory.size() > longest_path)
        return fail(bad_input("the working directory's path is too long"));
    return {};
}

Result<ExecRequest> read_exec_request(sd_bus_message* call) {
    ExecRequest request;
    if (read_strings(call, request.args) < 0)
        return fail(bad_input("malformed command"));
    TRY_VOID(read_options(call, request));
    if (sd_bus_message_read(call, "hhh", &request.stdio[0], &request.stdio[1], &request.stdio[2]) < 0)
        return fail(bad_input("stdin, stdout and stderr are missing"));
    TRY_VOID(check_exec_request(request));
    for (const int fd : request.stdio)
        TRY_VOID(check_stdio(fd));
    if (request.console_socket >= 0)
        TRY_VOID(check_console(request.console_socket));
    return request;
}

std::string to_json(const ExecRequest& request, pid_t leader, std::uint64_t leader_start) {
    return nlohmann::json{{"leader", leader},
                          {"leader_start", leader_start},
                          {"args", request.args},
                          {"env", request.environment},
                          {"user", request.user},
                          {"cwd", request.directory},
                          {"terminal", request.console_socket >= 0}}
        .dump();
}

} // namespace ctrd::bus

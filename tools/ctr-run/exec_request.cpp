#include "tools/ctr-run/exec.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace ctrd::run {
namespace {

bool has_nul(const std::vector<std::string>& texts) {
    return std::ranges::any_of(texts, [](const std::string& text) { return text.contains('\0'); });
}

bool is_tty(std::string_view text) {
    constexpr std::string_view folder = "/dev/pts/";
    if (text.empty() || text == "stdin")
        return true;
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    return text.starts_with(folder) && text.size() > folder.size() &&
           std::ranges::all_of(text.substr(folder.size()), is_digit);
}

Result<void> check(const ExecRequest& request) {
    if (request.leader <= 0)
        return fail(bad_input("request: 'leader' is not a process"));
    if (request.args.empty() || request.args.front().empty())
        return fail(bad_input("request: 'args' names no program"));
    if (has_nul(request.args) || has_nul(request.env) || request.cwd.contains('\0'))
        return fail(bad_input("request: a text holds a NUL"));
    for (const std::string& variable : request.env)
        if (variable.find('=') == std::string::npos || variable.starts_with('='))
            return fail(bad_input("request: '" + variable + "' is not NAME=VALUE"));
    if (!is_tty(request.tty) || (request.again && request.tty.empty()))
        return fail(bad_input("request: '" + request.tty + "' names no terminal"));
    if (!request.cwd.empty() && !request.cwd.starts_with('/'))
        return fail(bad_input("request: the working directory '" + request.cwd + "' is not absolute"));
    return {};
}

} // namespace

Result<ExecRequest> parse_exec_request(const std::string& json) {
    ExecRequest request;
    try {
        const auto value = nlohmann::json::parse(json);
        request.leader = value.at("leader").get<pid_t>();
        request.leader_start = value.at("leader_start").get<std::uint64_t>();
        request.args = value.at("args").get<std::vector<std::string>>();
        request.env = value.at("env").get<std::vector<std::string>>();
        request.user = value.at("user").get<std::string>();
        request.cwd = value.at("cwd").get<std::string>();
        request.terminal = value.at("terminal").get<bool>();
        request.tty = value.value("tty", "");
        request.login = value.value("login", false);
        request.again = value.value("again", false);
    } catch (const nlohmann::json::exception& error) {
        return fail(bad_input("request: " + std::string{error.what()}));
    }
    TRY_VOID(check(request));
    return request;
}

void set_variable(std::vector<std::string>& env, const std::string& variable) {
    const std::string prefix = variable.substr(0, variable.find('=') + 1);
    const auto there = std::ranges::find_if(env, [&](const std::string& one) { return one.starts_with(prefix); });
    if (there == env.end())
        env.push_back(variable);
    else
        *there = variable;
}

} // namespace ctrd::run

#include "tools/ctr-oci/exec_process.hpp"

#include "ctrd/base/text.hpp"
#include "ctrd/oci/names.hpp"

#include <algorithm>
#include <limits>

namespace ctrd::ctr_oci {
namespace {

/// Digits and nothing else: whatever a more generous parser would make of "+0", " 0" or "1000x" is not who was meant.
Result<std::uint32_t> parse_id(std::string_view text, std::string_view what) {
    const auto id = parse_number<std::uint32_t>(text);
    if (!id || *id == std::numeric_limits<std::uint32_t>::max())
        return fail(bad_input(std::string{what} + " takes numbers, not '" + std::string{text} + "'",
                              "names mean something only to the image; --user=1000:1000"));
    return *id;
}

Result<void> set_user(const Options& options, oci::User& user) {
    if (!options.user.empty()) {
        const std::string_view text = options.user;
        const auto colon = text.find(':');
        user.uid = TRY(parse_id(text.substr(0, colon), "--user"));
        if (colon != std::string_view::npos)
            user.gid = TRY(parse_id(text.substr(colon + 1), "--user"));
    }
    for (const std::string& gid : options.additional_gids)
        user.additional_gids.push_back(TRY(parse_id(gid, "--additional-gids")));
    return {};
}

/// Never inheritable: what an exec may do, a program without file capabilities that it runs may not keep.
Result<void> add_capabilities(const Options& options, oci::Process& process) {
    for (const std::string& name : options.capabilities) {
        const auto number = oci::capability_number(name);
        if (!number)
            return fail(bad_input("--cap: '" + name + "' is not a capability"));
        if (!process.capabilities)
            process.capabilities.emplace();
        const std::uint64_t bit = std::uint64_t{1} << *number;
        process.capabilities->bounding |= bit;
        process.capabilities->permitted |= bit;
        process.capabilities->effective |= bit;
        if (process.capabilities->inheritable != 0)
            process.capabilities->ambient |= bit;
    }
    return {};
}

Result<void> set_variables(const Options& options, std::vector<std::string>& env) {
    for (const std::string& entry : options.env) {
        const auto equals = entry.find('=');
        if (equals == 0 || equals == std::string::npos)
            return fail(bad_input("--env takes NAME=VALUE, not '" + entry + "'"));
        const std::string name = entry.substr(0, equals + 1);
        std::erase_if(env, [&](const std::string& old) { return old.starts_with(name); });
        env.push_back(entry);
    }
    return {};
}

} // namespace

Result<oci::Process> make_exec_process(const Options& options, oci::Process process) {
    const bool has_command = options.arguments.size() > 1;
    if (options.process_file.empty() != has_command)
        return fail(bad_input(has_command ? "exec takes a command or --process, not both" : "exec needs a command",
                              "ctr-oci exec ID COMMAND..., or ctr-oci exec --process FILE ID"));
    if (has_command) {
        process.args.assign(options.arguments.begin() + 1, options.arguments.end());
        if (process.args.front().empty())
            return fail(bad_input("the name of the program is empty"));
        process.terminal = false; // the container's own first process has no say in this
    }
    process.terminal = process.terminal || options.tty;
    if (!options.cwd.empty() && options.cwd.front() != '/')
        return fail(bad_input("--cwd is not an absolute path: '" + options.cwd + "'"));
    if (!options.cwd.empty())
        process.cwd = options.cwd;
    if (!options.apparmor.empty())
        process.apparmor_profile = options.apparmor;
    if (!options.process_label.empty())
        process.selinux_label = options.process_label;
    if (options.no_new_privileges)
        process.no_new_privileges = *options.no_new_privileges;
    TRY_VOID(set_user(options, process.user));
    TRY_VOID(add_capabilities(options, process));
    TRY_VOID(set_variables(options, process.env));
    return process;
}

} // namespace ctrd::ctr_oci

#include "ctrd/oci/parse_process.hpp"

#include "ctrd/oci/names.hpp"
#include "ctrd/oci/parse_scheduling.hpp"

#include <algorithm>

namespace ctrd::oci {
namespace {

/// The kernel keeps 2^32-1 for "no change".
Result<std::uint32_t> read_id(const Reader& in, const char* key) {
    const auto id = TRY(in.integer<std::uint32_t>(key)).value_or(0);
    if (id == std::numeric_limits<std::uint32_t>::max())
        return fail(bad_input(in.at(key) + " is out of range: " + std::to_string(id)));
    return id;
}

Result<User> read_user(const Reader& in) {
    User user;
    user.uid = TRY(read_id(in, "uid"));
    user.gid = TRY(read_id(in, "gid"));
    user.umask = TRY(in.integer<std::uint32_t>("umask"));
    if (user.umask && *user.umask > 0777)
        return fail(bad_input(in.at("umask") + " is not a file mode mask: " + std::to_string(*user.umask)));
    if (const Json* groups = in.find("additionalGids"); groups != nullptr) {
        if (!groups->is_array())
            return fail(bad_input(in.at("additionalGids") + " is not an array"));
        for (const Json& group : *groups) {
            if (!group.is_number_unsigned() || group.get<std::uint64_t>() >= std::numeric_limits<std::uint32_t>::max())
                return fail(
                    bad_input(in.at("additionalGids") + " holds something that is no group id: " + group.dump()));
            user.additional_gids.push_back(group.get<std::uint32_t>());
        }
    }
    return user;
}

/// A name that means nothing to us is noted in `unknown`: the specification wants a warning and no error.
Result<std::uint64_t> read_capability_set(const Reader& in, const char* key, std::vector<std::string>& unknown) {
    std::uint64_t mask = 0;
    for (std::string& name : TRY(in.strings(key))) {
        if (const auto number = capability_number(name))
            mask |= std::uint64_t{1} << *number;
        else
            unknown.push_back(std::move(name));
    }
    return mask;
}

Result<Capabilities> read_capabilities(const Reader& in, std::vector<std::string>& unknown) {
    Capabilities sets;
    sets.bounding = TRY(read_capability_set(in, "bounding", unknown));
    sets.effective = TRY(read_capability_set(in, "effective", unknown));
    sets.inheritable = TRY(read_capability_set(in, "inheritable", unknown));
    sets.permitted = TRY(read_capability_set(in, "permitted", unknown));
    sets.ambient = TRY(read_capability_set(in, "ambient", unknown));
    std::ranges::sort(unknown);
    unknown.erase(std::unique(unknown.begin(), unknown.end()), unknown.end());
    if ((sets.effective & ~sets.permitted) != 0)
        return fail(bad_input(in.at("effective") + " holds a capability that is not in permitted"));
    return sets;
}

Result<std::vector<Rlimit>> read_rlimits(const Reader& process) {
    std::vector<Rlimit> limits;
    for (const Reader& in : TRY(process.objects("rlimits"))) {
        Rlimit limit;
        limit.type = TRY(in.required_string("type"));
        const auto number = rlimit_number(limit.type);
        if (!number)
            return fail(bad_input(in.at("type") + ": '" + limit.type + "' is not a resource limit"));
        limit.resource = *number;
        limit.soft = TRY(in.required_integer<std::uint64_t>("soft"));
        limit.hard = TRY(in.required_integer<std::uint64_t>("hard"));
        if (limit.soft > limit.hard)
            return fail(bad_input(in.place() + ": the soft limit of " + limit.type + " is above the hard limit"));
        if (std::ranges::find(limits, limit.type, &Rlimit::type) != limits.end())
            return fail(bad_input(in.place() + ": " + limit.type + " is given twice"));
        limits.push_back(std::move(limit));
    }
    return limits;
}

Result<std::optional<ConsoleSize>> read_console_size(const Reader& process) {
    const auto in = TRY(process.object("consoleSize"));
    if (!in)
        return std::optional<ConsoleSize>{};
    return std::optional<ConsoleSize>{ConsoleSize{TRY(in->required_integer<std::uint16_t>("height")),
                                                  TRY(in->required_integer<std::uint16_t>("width"))}};
}

Result<void> check_environment(const Reader& in, const std::vector<std::string>& env) {
    // An entry without a name would let an image guess at our own environment; the payload gets exactly this list.
    for (std::size_t i = 0; i < env.size(); ++i)
        if (const auto equals = env[i].find('='); equals == 0 || equals == std::string::npos)
            return fail(bad_input(in.at("env") + "[" + std::to_string(i) + "] is not NAME=VALUE: '" + env[i] + "'"));
    return {};
}

} // namespace

Result<Process> read_process(const Reader& in) {
    Process process;
    process.terminal = TRY(in.boolean("terminal"));
    process.console_size = TRY(read_console_size(in));
    if (const auto user = TRY(in.object("user")))
        process.user = TRY(read_user(*user));
    process.args = TRY(in.strings("args"));
    if (process.args.empty() || process.args.front().empty())
        return fail(bad_input(in.at("args") + " names no program"));
    process.env = TRY(in.strings("env"));
    TRY_VOID(check_environment(in, process.env));
    process.cwd = TRY(in.required_string("cwd"));
    if (process.cwd.front() != '/')
        return fail(bad_input(in.at("cwd") + " is not an absolute path: '" + process.cwd + "'"));
    if (const auto sets = TRY(in.object("capabilities")))
        process.capabilities = TRY(read_capabilities(*sets, process.unknown_capabilities));
    process.rlimits = TRY(read_rlimits(in));
    process.no_new_privileges = TRY(in.boolean("noNewPrivileges"));
    process.oom_score_adj = TRY(in.integer<int>("oomScoreAdj"));
    if (process.oom_score_adj && (*process.oom_score_adj < -1000 || *process.oom_score_adj > 1000))
        return fail(bad_input(in.at("oomScoreAdj") + " is not between -1000 and 1000"));
    process.apparmor_profile = TRY(in.string("apparmorProfile"));
    if (process.apparmor_profile.find_first_of(" \n\t") != std::string::npos)
        return fail(bad_input(in.at("apparmorProfile") + " holds white space"));
    process.selinux_label = TRY(in.string("selinuxLabel"));
    process.scheduler = TRY(read_scheduler(in));
    process.io_priority = TRY(read_io_priority(in));
    process.exec_cpu_affinity = TRY(read_exec_cpu_affinity(in));
    return process;
}

} // namespace ctrd::oci

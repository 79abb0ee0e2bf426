#include "tools/ctr-copy/copy.hpp"

#include "ctrd/activation/late_bind.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace ctrd::copy {
namespace {

/// Opened first, checked second: the number that ctrd read could be another process's by now.
Result<UniqueFd> open_leader(const std::string& container, const Request& request) {
    auto pidfd = open_pidfd(request.leader);
    const auto started = start_time(request.leader);
    if (!pidfd || !started || *started != request.leader_start ||
        activation::container_of_cgroup(TRY(cgroup_of(request.leader))) != container)
        return fail(os_error(ESRCH, "the container that this was meant for has ended"));
    return std::move(*pidfd);
}

Result<bool> shares_user_namespace(pid_t leader) {
    struct stat ours {};
    struct stat theirs {};
    if (::stat("/proc/self/ns/user", &ours) < 0 ||
        ::stat(("/proc/" + std::to_string(leader) + "/ns/user").c_str(), &theirs) < 0)
        return fail(os_error(errno, "cannot look at the user namespace"));
    return ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

} // namespace

Result<Request> parse_request(const std::string& text) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    Request request;
    try {
        json.at("leader").get_to(request.leader);
        json.at("leader_start").get_to(request.leader_start);
        json.at("path").get_to(request.path);
        json.at("name").get_to(request.name);
        json.at("single").get_to(request.single);
        json.at("mode").get_to(request.mode);
    } catch (const nlohmann::json::exception& error) {
        return fail(bad_input("request: " + std::string{error.what()}));
    }
    if (!request.path.starts_with('/') || request.path.contains('\0') || request.name.contains('/') ||
        request.name.contains('\0'))
        return fail(bad_input("request: malformed path"));
    request.mode &= 0777U;
    return request;
}

Result<UniqueFd> enter(const std::string& container, const Request& request) {
    const UniqueFd leader = TRY(open_leader(container, request));
    UniqueFd root = TRY(open_at(AT_FDCWD, "/proc/" + std::to_string(request.leader) + "/root", O_PATH | O_DIRECTORY));
    if (!TRY(shares_user_namespace(request.leader))) {
        // From here on we have the rights of the container's root and no others.
        if (::setns(leader.get(), CLONE_NEWUSER) < 0)
            return fail(os_error(errno, "cannot enter the container's user namespace"));
        if (::setgroups(0, nullptr) < 0 || ::setresgid(0, 0, 0) < 0 || ::setresuid(0, 0, 0) < 0)
            return fail(os_error(errno, "cannot become the container's root user"));
    }
    ::umask(0);
    return root;
}

} // namespace ctrd::copy

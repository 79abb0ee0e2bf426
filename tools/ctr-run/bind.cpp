// `ctr-run bind`: a file or folder of the host appears in a running container, on behalf of ctrd, which never enters a
// container's mount namespace itself. It stays until the container ends.
#include "ctrd/base/file.hpp"
#include "ctrd/base/rooted.hpp"
#include "ctrd/runtime/mount_api.hpp"
#include "tools/ctr-run/commands.hpp"
#include "tools/ctr-run/leader.hpp"

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/stat.h>

#include <cerrno>
#include <sstream>

namespace ctrd::run {
namespace {

constexpr int request_fd = 3;
constexpr std::size_t largest_request = 1U << 16;

struct BindRequest {
    pid_t leader{0};
    std::uint64_t leader_start{0};
    std::string source{};
    std::string target{};
    bool read_only{false};
    bool make_target{false};
};

Result<BindRequest> parse(const std::string& text) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    BindRequest request;
    try {
        json.at("leader").get_to(request.leader);
        json.at("leader_start").get_to(request.leader_start);
        json.at("source").get_to(request.source);
        json.at("target").get_to(request.target);
        json.at("read_only").get_to(request.read_only);
        json.at("make_target").get_to(request.make_target);
    } catch (const nlohmann::json::exception& error) {
        return fail(bad_input("request: " + std::string{error.what()}));
    }
    if (!request.source.starts_with('/') || !request.target.starts_with('/') || request.source.contains('\0') ||
        request.target.contains('\0'))
        return fail(bad_input("request: a path is not absolute"));
    return request;
}

/// ctrd's own mount namespace hides the users' folders and has a /tmp of its own: the host's is process 1's.
Result<void> enter_host() {
    const UniqueFd host = TRY(open_at(AT_FDCWD, "/proc/1/ns/mnt", O_RDONLY));
    if (::setns(host.get(), CLONE_NEWNS) < 0)
        return fail(os_error(errno, "cannot enter the host's mount namespace"));
    return {};
}

/// The host's number of the container's root, by its /proc/PID/uid_map or gid_map.
Result<unsigned> root_id(pid_t leader, const char* map) {
    const std::string path = "/proc/" + std::to_string(leader) + "/" + map;
    std::istringstream lines{TRY(read_file(path))};
    for (unsigned inside = 0, outside = 0, count = 0; lines >> inside >> outside >> count;)
        if (inside == 0)
            return outside;
    return fail(Error{std::errc::invalid_argument, "the container has no root ('" + path + "')", ""});
}

struct Owner {
    unsigned user{0};
    unsigned group{0};
};

/// What is made in a container with users of its own has to be its root's: its mounts know no others.
Result<void> make_files_as(const Owner& owner) {
    ::setfsgid(owner.group);
    ::setfsuid(owner.user); // says only what was before
    if (static_cast<unsigned>(::setfsgid(static_cast<gid_t>(-1))) != owner.group ||
        static_cast<unsigned>(::setfsuid(static_cast<uid_t>(-1))) != owner.user)
        return fail(os_error(EPERM, "cannot make files as the container's root"));
    return {};
}

struct Source {
    UniqueFd tree{};
    bool is_folder{false};
};

/// Detached, private, and without what a host's folder could give to a container's programs: no setuid, no devices.
Result<Source> clone_source(const BindRequest& request) {
    const UniqueFd fd = TRY(open_at(AT_FDCWD, request.source, O_PATH).context("source"));
    struct stat st {};
    if (::fstat(fd.get(), &st) < 0)
        return fail(os_error(errno, "source '" + request.source + "'"));
    Source source{UniqueFd{runtime::clone_mount(fd.get(), true)}, S_ISDIR(st.st_mode)};
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (request.read_only ? MOUNT_ATTR_RDONLY : 0U);
    attributes.propagation = MS_PRIVATE;
    if (!source.tree ||
        ::mount_setattr(source.tree.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) < 0)
        return fail(os_error(errno, "cannot mount '" + request.source + "'"));
    return source;
}

Result<UniqueFd> open_target(int root, const BindRequest& request, bool is_folder) {
    const char* path = request.target.c_str();
    UniqueFd target{!request.make_target ? rooted::open_raw(root, path, O_PATH)
                    : is_folder          ? rooted::make_dirs_raw(root, path, 0755)
                                         : rooted::make_file_raw(root, path, 0644)};
    if (!target)
        return fail(os_error(errno, "target '" + request.target + "' in the container",
                             errno == ENOENT ? "make it first, or let it be made with --mkdir" : ""));
    return target;
}

} // namespace

Result<void> bind(const std::string& name) {
    const UniqueFd file{request_fd};
    const std::string text = TRY(read_all(file.get(), largest_request).context("request"));
    const BindRequest request = TRY(parse(text));
    const UniqueFd leader = TRY(open_leader(name, request.leader, request.leader_start));
    const UniqueFd root =
        TRY(open_at(AT_FDCWD, "/proc/" + std::to_string(request.leader) + "/root", O_PATH | O_DIRECTORY));
    const Owner owner{TRY(root_id(request.leader, "uid_map")), TRY(root_id(request.leader, "gid_map"))};
    TRY_VOID(enter_host());
    const Source source = TRY(clone_source(request));
    // The kernel lets nobody mount in a namespace from outside of it.
    if (::setns(leader.get(), CLONE_NEWNS) < 0)
        return fail(os_error(errno, "cannot enter the container's mount namespace"));
    TRY_VOID(make_files_as(owner));
    const UniqueFd target = TRY(open_target(root.get(), request, source.is_folder));
    if (runtime::attach(source.tree.get(), target.get()) < 0)
        return fail(os_error(errno, "cannot mount it on '" + request.target + "' in the container",
                             errno == ENOTDIR ? "a folder goes on a folder, a file on a file" : ""));
    return {};
}

} // namespace ctrd::run

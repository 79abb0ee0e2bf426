#include "ctrd/activation/socket_file.hpp"

#include "ctrd/activation/caller.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/rooted.hpp"

#include <fcntl.h>
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <climits>

namespace ctrd::activation {
namespace {

std::string process_path(const BindRequest& request, const char* name) {
    return "/proc/" + std::to_string(request.thread) + "/" + name;
}

struct Rights {
    uid_t user{0};
    gid_t group{0};
    std::vector<gid_t> groups{};
    mode_t mask{0};
};

/// The last of "Uid:  real effective saved filesystem".
std::optional<std::uint64_t> fourth(std::string_view status, std::string_view key) {
    std::string_view line = status.substr(std::min(status.size(), status.find(key)));
    line = line.substr(0, line.find('\n', 1));
    return field(line.substr(std::min(line.size(), line.find_last_of('\t'))), "\t", 10);
}

std::vector<gid_t> groups_of(std::string_view status) {
    std::vector<gid_t> groups;
    constexpr std::string_view key = "\nGroups:";
    const std::size_t begin = status.find(key);
    if (begin == std::string_view::npos)
        return groups;
    const std::string_view line = status.substr(begin + key.size(), status.find('\n', begin + 1) - begin - key.size());
    for (const char* at = line.data(); at < line.data() + line.size();) {
        gid_t group = 0;
        const auto [next, err] = std::from_chars(at, line.data() + line.size(), group);
        if (err == std::errc{})
            groups.push_back(group);
        at = err == std::errc{} ? next : at + 1;
    }
    return groups;
}

Result<Rights> rights_of(const BindRequest& request) {
    const std::string status = TRY(read_file(process_path(request, "status")));
    const auto user = fourth(status, "\nUid:");
    const auto group = fourth(status, "\nGid:");
    const auto mask = field(status, "\nUmask:", 8);
    if (!user || !group || !mask)
        return fail(os_error(EPROTO, "cannot read the rights of process " + std::to_string(request.thread)));
    return Rights{static_cast<uid_t>(*user), static_cast<gid_t>(*group), groups_of(status), static_cast<mode_t>(*mask)};
}

/// Between its making and its end, what we do with files is done with these rights.
class Acting {
public:
    explicit Acting(const Rights& rights) {
        const int count = ::getgroups(0, nullptr);
        own_.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
        good_ =
            ::getgroups(count, own_.data()) == count && ::setgroups(rights.groups.size(), rights.groups.data()) == 0;
        ::setfsgid(rights.group);
        ::setfsuid(rights.user);
        mask_ = ::umask(rights.mask);
        good_ = good_ && ::setfsuid(static_cast<uid_t>(-1)) == static_cast<int>(rights.user);
    }
    ~Acting() {
        ::umask(mask_);
        ::setfsuid(::geteuid());
        ::setfsgid(::getegid());
        ::setgroups(own_.size(), own_.data());
    }
    Acting(const Acting&) = delete;
    Acting& operator=(const Acting&) = delete;
    [[nodiscard]] bool good() const { return good_; }

private:
    std::vector<gid_t> own_;
    mode_t mask_{0};
    bool good_{false};
};

int make_node(int folder, const char* name) { return ::mknodat(folder, name, S_IFSOCK | 0777, 0) == 0 ? 0 : errno; }

bool is_socket(int folder, const char* name) {
    struct stat st {};
    return ::fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode);
}

} // namespace

Result<std::string> absolute_path(const BindRequest& request) {
    std::string whole = request.path;
    if (!whole.starts_with('/')) {
        char folder[PATH_MAX];
        const ssize_t length = ::readlink(process_path(request, "cwd").c_str(), folder, sizeof folder);
        if (length < 0)
            return fail(os_error(errno, "cannot tell the payload's working directory"));
        whole = std::string{folder, static_cast<std::size_t>(length)} + "/" + whole;
    }
    std::string clean;
    for (std::string_view rest = whole; !rest.empty();) {
        const std::string_view part = rest.substr(0, rest.find('/'));
        if (!part.empty() && part != ".")
            clean += "/" + std::string{part};
        rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    }
    return clean;
}

Result<void> make_socket_file(int notify_fd, const BindRequest& request, const std::string& path) {
    const std::string doing = "cannot make the socket's file '" + path + "' in the container";
    // The only magic link that is followed: the caller's own root, which it is sure to be only when it still waits.
    const UniqueFd root = TRY(open_at(AT_FDCWD, process_path(request, "root"), O_PATH | O_DIRECTORY));
    const Rights rights = TRY(rights_of(request));
    if (!still_waits(notify_fd, request))
        return fail(os_error(ESRCH, "the caller is gone"));
    const std::size_t slash = path.rfind('/');
    const std::string folder_path = path.substr(0, slash == 0 ? 1 : slash);
    const char* name = path.c_str() + slash + 1;
    const Acting acting{rights};
    if (!acting.good())
        return fail(os_error(EPERM, doing));
    const UniqueFd folder{rooted::open_raw(root.get(), folder_path.c_str(), O_PATH | O_DIRECTORY)};
    int err = folder ? make_node(folder.get(), name) : errno;
    if (err == EEXIST && is_socket(folder.get(), name) && ::unlinkat(folder.get(), name, 0) == 0)
        err = make_node(folder.get(), name);
    if (err != 0)
        return fail(os_error(err == EEXIST ? EADDRINUSE : err, doing));
    return {};
}

} // namespace ctrd::activation

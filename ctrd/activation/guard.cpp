#include "ctrd/activation/guard.hpp"

#include "ctrd/activation/bpf.hpp"
#include "ctrd/activation/datagrams.hpp"
#include "ctrd/activation/listener.hpp"
#include "ctrd/activation/sock_diag.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <vector>

namespace ctrd::activation {
namespace {

struct Hook {
    bpf_attach_type where;
    const char* name; // by which a later start knows it again
};
constexpr std::array hooks{
    Hook{BPF_CGROUP_INET4_CONNECT, "ctrd_connect4"},
    Hook{BPF_CGROUP_INET6_CONNECT, "ctrd_connect6"},
    Hook{BPF_CGROUP_INET4_BIND, "ctrd_bind4"},
    Hook{BPF_CGROUP_INET6_BIND, "ctrd_bind6"},
};

constexpr int kernfs_handle = 0xfe; // FILEID_KERNFS
constexpr const char* no_guard_hint =
    "without its guard a listening socket is a way into the host's network, so it is not handed over; see "
    "docs/security.md";

/// Where the folder of a cgroup is, as seen below the mount point.
Result<std::string> path_below_mount(int folder, const std::string& mount) {
    char path[PATH_MAX];
    const std::string link = "/proc/self/fd/" + std::to_string(folder);
    const ssize_t length = ::readlink(link.c_str(), path, sizeof path);
    if (length < 0)
        return fail(os_error(errno, "cannot tell a cgroup's path"));
    std::string_view found{path, static_cast<std::size_t>(length)};
    if (!found.starts_with(mount))
        return fail(bad_input("the cgroup '" + std::string{found} + "' is not below '" + mount + "'"));
    found.remove_prefix(mount.size());
    return found.empty() ? std::string{"/"} : std::string{found};
}

Result<void> check_kind(const SocketFacts& facts) {
    if (facts.protocol == IPPROTO_TCP || facts.protocol == IPPROTO_UDP)
        return {};
    return fail(bad_input("an IP socket that is neither TCP nor UDP can't be guarded (protocol " +
                              std::to_string(facts.protocol) + ")",
                          no_guard_hint));
}

Error born_elsewhere(const std::string& path, const std::string& unit) {
    return bad_input(
        "the listening socket was not made in the cgroup of '" + unit + "' but in '" + path + "'",
        std::string{"systemd does that where it can't use BPF: is bpf(2) allowed to it, and is the kernel's "
                    "CONFIG_CGROUP_BPF set? "} +
            no_guard_hint);
}

Result<void> with_hint(Result<void> done) {
    if (!done)
        done.error().hint = no_guard_hint;
    return done;
}

} // namespace

Result<std::uint64_t> birth_cgroup(int socket) { return cgroup_id_of_socket(socket); }

Result<Cgroup> open_cgroup(std::uint64_t id) {
    const std::string mount = TRY(cgroup_mount());
    const UniqueFd root = TRY(open_at(AT_FDCWD, mount, O_RDONLY | O_DIRECTORY));
    // A cgroup's id is its kernfs node's, and that is all that the file handle of a kernfs folder holds: the folder
    // is found without knowing its path, which a slice of the administrator's choice decides.
    alignas(file_handle) char buffer[sizeof(file_handle) + sizeof id];
    auto* handle = reinterpret_cast<file_handle*>(buffer);
    handle->handle_bytes = sizeof id;
    handle->handle_type = kernfs_handle;
    std::memcpy(buffer + sizeof(file_handle), &id, sizeof id);
    Cgroup cgroup;
    cgroup.folder = UniqueFd{::open_by_handle_at(root.get(), handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (!cgroup.folder)
        return fail(os_error(errno, "cannot open the cgroup with the id " + std::to_string(id)));
    cgroup.path = TRY(path_below_mount(cgroup.folder.get(), mount));
    return cgroup;
}

Result<void> refuse_outgoing(const Cgroup& cgroup) {
    for (const Hook& hook : hooks) {
        const std::string doing = "guard '" + std::string{hook.name} + "' on the cgroup '" + cgroup.path + "'";
        if (TRY(bpf::is_attached(cgroup.folder.get(), hook.where, hook.name).context(doing)))
            continue;
        const UniqueFd program = TRY(bpf::load_refusal(hook.where, hook.name).context(doing));
        TRY_VOID(bpf::attach(cgroup.folder.get(), program.get(), hook.where).context(doing));
    }
    return {};
}

Result<std::uint64_t> guard_listeners(std::span<const int> sockets, const std::string& unit) {
    std::uint64_t guarded = 0;
    std::vector<int> datagrams;
    for (const int socket : sockets) {
        const SocketFacts facts = TRY(look_at(socket));
        if (!facts.is_ip())
            continue;
        TRY_VOID(check_kind(facts));
        const std::uint64_t id = TRY(birth_cgroup(socket));
        if (facts.type == SOCK_DGRAM)
            datagrams.push_back(socket);
        if (id == guarded)
            continue;
        const Cgroup cgroup = TRY(open_cgroup(id));
        if (!("/" + cgroup.path).ends_with("/" + unit))
            return fail(born_elsewhere(cgroup.path, unit));
        TRY_VOID(with_hint(refuse_outgoing(cgroup)));
        guarded = id;
    }
    if (!datagrams.empty()) {
        const Cgroup cgroup = TRY(open_cgroup(guarded));
        TRY_VOID(with_hint(answer_only(cgroup, datagrams)));
    }
    return guarded;
}

} // namespace ctrd::activation

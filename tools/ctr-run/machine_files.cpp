#include "tools/ctr-run/machine_files.hpp"

#include "ctrd/base/file.hpp"
#include "machined-plugin/machine_socket.hpp"

#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace ctrd::run {
namespace {

// nspawn's, and machined knows no other.
constexpr const char* incoming_folder = "/run/host/incoming";
constexpr int queue_length = 128; // who floods it, out of the container, makes its own shells wait

/// Who is root in the container is who may connect.
uid_t root_of(const std::vector<oci::IdMapping>& mappings) {
    const auto root = std::ranges::find(mappings, 0U, &oci::IdMapping::container_id);
    return root == mappings.end() ? 0 : root->host_id;
}

Result<void> bind_to(int socket, const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return fail(bad_input("'" + path + "' is too long for a socket"));
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    ::unlink(path.c_str()); // of a start that was interrupted
    if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return {};
    if (errno != ENOENT)
        return fail(os_error(errno, "cannot make the socket '" + path + "'"));
    TRY_VOID(make_dirs(std::string{systemd::machine_socket_folder}, 0700));
    return ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0
               ? Result<void>{}
               : fail(os_error(errno, "cannot make the socket '" + path + "'"));
}

Result<UniqueFd> make_socket(const std::string& name, const oci::Spec& spec) {
    const std::string path = systemd::machine_socket_path(name);
    UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    // With SO_PASSCRED, which its connections inherit, the kernel says of each message who has sent it.
    const int on = 1;
    if (!socket || ::fchmod(socket.get(), 0600) < 0 ||
        ::setsockopt(socket.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0)
        return fail(os_error(errno, "cannot make a socket"));
    TRY_VOID(bind_to(socket.get(), path));
    const uid_t uid = root_of(spec.uid_mappings);
    const gid_t gid = root_of(spec.gid_mappings);
    if ((uid != 0 || gid != 0) && ::lchown(path.c_str(), uid, gid) < 0)
        return fail(os_error(errno, "cannot set the owner of '" + path + "'"));
    if (::listen(socket.get(), queue_length) < 0)
        return fail(os_error(errno, "cannot listen on '" + path + "'"));
    return socket;
}

Result<void> make_incoming(const std::string& name) {
    const std::string path = systemd::incoming_folder_of(name);
    if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST)
        return {};
    if (errno == ENOENT)
        return make_dirs(path, 0700);
    return fail(os_error(errno, "cannot make the folder '" + path + "'"));
}

} // namespace

Result<MachineFiles> make_machine_files(const std::string& name, const oci::Spec& spec, bool with_socket) {
    MachineFiles files;
    if (with_socket) {
        files.socket = TRY(make_socket(name, spec));
        files.offers.push_back({systemd::machine_socket_path(name), systemd::container_bus_path, false});
    }
    if (spec.uid_mappings.empty()) { // machined refuses to bind into a user namespace
        TRY_VOID(make_incoming(name));
        files.offers.push_back({systemd::incoming_folder_of(name), incoming_folder, true});
    }
    return files;
}

Result<void> remove_machine_files(const std::string& name) {
    const std::string socket = systemd::machine_socket_path(name);
    if (::unlink(socket.c_str()) < 0 && errno != ENOENT)
        return fail(os_error(errno, "cannot remove '" + socket + "'"));
    const std::string incoming = systemd::incoming_folder_of(name);
    if (::rmdir(incoming.c_str()) < 0 && errno != ENOENT && errno != ENOTEMPTY && errno != EBUSY)
        return fail(os_error(errno, "cannot remove '" + incoming + "'"));
    return {};
}

} // namespace ctrd::run

#include "tools/ctr-run/host_files.hpp"

#include "ctrd/base/file.hpp"
#include "machined-plugin/machine_socket.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>

namespace ctrd::run {
namespace {

constexpr const char* destination = "/run/host";
constexpr std::size_t largest_credential = 1U << 20; // systemd's own limit

/// Another user's number on the host.
std::uint32_t on_host(const std::vector<oci::IdMapping>& mappings, std::uint32_t id) {
    for (const oci::IdMapping& one : mappings)
        if (id >= one.container_id && id - one.container_id < one.size)
            return one.host_id + (id - one.container_id);
    return id;
}

Result<void> write_file(const std::string& path, std::string_view text, mode_t mode) {
    const UniqueFd file = TRY(open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode));
    if (::fchmod(file.get(), mode) < 0)
        return fail(os_error(errno, "cannot set the mode of '" + path + "'"));
    return write_all(file.get(), text).context("'" + path + "'");
}

/// A host without the file has no name that could be told.
std::string os_release() {
    for (const char* path : {"/etc/os-release", "/usr/lib/os-release"})
        if (auto text = read_file(path))
            return *std::move(text);
    return {};
}

Result<void> copy_credential(const std::string& from, const std::string& to, uid_t user, gid_t group) {
    const UniqueFd file = TRY(open_at(AT_FDCWD, from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
    const std::string text = TRY(read_all(file.get(), largest_credential).context("'" + from + "'"));
    TRY_VOID(write_file(to, text, 0400));
    if (::lchown(to.c_str(), user, group) < 0)
        return fail(os_error(errno, "cannot set the owner of '" + to + "'"));
    return {};
}

/// They are the payload's user's, as systemd gives them to a service's. systemd's own names of them hold no '/'.
Result<void> copy_credentials(const std::string& source, const std::string& target, const oci::Spec& spec) {
    const uid_t user = on_host(spec.uid_mappings, spec.process->user.uid);
    const gid_t group = on_host(spec.gid_mappings, spec.process->user.gid);
    if (::mkdir(target.c_str(), 0500) < 0 || ::lchown(target.c_str(), user, group) < 0)
        return fail(os_error(errno, "cannot make the folder '" + target + "'"));
    const std::unique_ptr<DIR, int (*)(DIR*)> entries{::opendir(source.c_str()), ::closedir};
    if (!entries)
        return fail(os_error(errno, "cannot list the credentials in '" + source + "'"));
    while (const dirent* entry = ::readdir(entries.get()))
        if (entry->d_name[0] != '.')
            TRY_VOID(copy_credential(source + "/" + entry->d_name, target + "/" + entry->d_name, user, group));
    return {};
}

void set_variable(oci::Spec& spec, const std::string& name, const std::string& value) {
    auto& environment = spec.process->env;
    std::erase_if(environment, [&](const std::string& one) { return one.starts_with(name + "="); });
    environment.push_back(name + "=" + value);
}

/// What the folder below /run/ctrd is called is nobody's business, and who could name it could not enter it.
Result<void> make_folder(const std::string& path) {
    std::error_code error;
    std::filesystem::remove_all(path, error); // of a start that was interrupted
    TRY_VOID(make_dirs(std::string{systemd::host_files_folder}, 0700));
    TRY_VOID(make_dirs(path, 0755));
    return make_dirs(path + "/incoming", 0755); // for "machinectl bind"
}

} // namespace

Result<HostFiles> make_host_files(const std::string& name, oci::Spec& spec, bool systemd, bool awaits_ready,
                                  const std::string& machine_id) {
    const char* credentials = std::getenv("CREDENTIALS_DIRECTORY");
    HostFiles files;
    if (!spec.process || (!systemd && !awaits_ready && credentials == nullptr))
        return files;
    const std::string path = systemd::host_files_of(name);
    TRY_VOID(make_folder(path));
    TRY_VOID(write_file(path + "/container-manager", "ctrd\n", 0444));
    TRY_VOID(write_file(path + "/os-release", os_release(), 0444));
    // A systemd that finds no /etc/machine-id takes this: the unit's invocation, by which machined knows it, too.
    const char* invocation = std::getenv("INVOCATION_ID");
    if (const std::string id = !machine_id.empty()     ? machine_id
                               : invocation != nullptr ? invocation
                                                       : "";
        !id.empty()) {
        TRY_VOID(write_file(path + "/container-uuid", id + "\n", 0444));
        if (systemd)
            set_variable(spec, "container_uuid", id);
    }
    if (credentials != nullptr) {
        TRY_VOID(copy_credentials(credentials, path + "/credentials", spec));
        set_variable(spec, "CREDENTIALS_DIRECTORY", std::string{destination} + "/credentials");
    }
    if (awaits_ready) {
        files.ready = TRY(ReadySocket::open(path + "/notify"));
        set_variable(spec, "NOTIFY_SOCKET", std::string{destination} + "/notify");
    }
    files.offer = plan::Offer{path, destination, false};
    return files;
}

Result<void> remove_host_files(const std::string& name) {
    const std::string path = systemd::host_files_of(name);
    std::error_code error;
    std::filesystem::remove_all(path, error);
    return error ? fail(os_error(error.value(), "cannot remove '" + path + "'")) : Result<void>{};
}

} // namespace ctrd::run

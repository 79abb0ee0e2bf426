#include "tools/ctrctl/adhoc.hpp"

#include "config/name_files.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <vector>

namespace ctrd::ctl {
namespace {

constexpr const char* config_name = "config.json";

void remove_bundle(const std::string& path) {
    for (const char* name : {config_name, config::hosts_file, "errors", "image", "changes"})
        ::unlink((path + "/" + name).c_str());
    ::rmdir((path + "/rootfs").c_str());
    ::rmdir(path.c_str());
}

/// The folder, locked; -1 if somebody else has it or it is gone.
UniqueFd lock_folder(const std::string& path) {
    UniqueFd folder{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    if (!folder || ::flock(folder.get(), LOCK_EX | LOCK_NB) < 0)
        return UniqueFd{};
    // Between open and flock its owner may have removed it: then this is not the folder that the path names.
    struct stat locked {};
    struct stat named {};
    if (::fstat(folder.get(), &locked) < 0 || ::lstat(path.c_str(), &named) < 0 || locked.st_ino != named.st_ino)
        return UniqueFd{};
    return folder;
}

void sweep(const std::string& folder) {
    const std::unique_ptr<DIR, int (*)(DIR*)> entries{::opendir(folder.c_str()), ::closedir};
    std::vector<std::string> names;
    while (entries) {
        const dirent* entry = ::readdir(entries.get());
        if (!entry)
            break;
        if (is_container_name(entry->d_name))
            names.emplace_back(entry->d_name);
    }
    for (const auto& name : names)
        if (const std::string path = folder + "/" + name; lock_folder(path))
            remove_bundle(path);
}

} // namespace

Outcome<AdhocBundle> AdhocBundle::create(const std::string& name, const std::string& config_json,
                                         const std::string& run_dir) {
    const std::string folder = run_dir + "/adhoc";
    if (auto made = make_dirs(folder, 0700); !made)
        return refuse(exit_internal, std::move(made).error());
    sweep(folder);
    const std::string path = folder + "/" + name;
    if (::mkdir(path.c_str(), 0700) < 0 && errno != EEXIST)
        return refuse(exit_internal, os_error(errno, "cannot make the folder '" + path + "'"));
    UniqueFd lock = lock_folder(path);
    if (!lock)
        return refuse(exit_failure, {std::errc::device_or_resource_busy,
                                     "the name '" + name + "' is already in use by another 'ctrctl run'",
                                     "choose another one with --name, or leave --name away"});
    AdhocBundle bundle{path, std::move(lock)};
    if (auto written = write_atomic(path + "/" + config_name, config_json, 0600); !written)
        return refuse(exit_internal, std::move(written).error());
    return bundle;
}

int exit_code_of(std::string_view error_log) {
    const std::size_t at = error_log.find("cannot run '");
    if (at == std::string_view::npos)
        return exit_internal;
    const std::string_view line = error_log.substr(at, error_log.find('\n', at) - at);
    return line.find(errno_text(ENOENT)) == std::string_view::npos ? exit_cannot_execute : exit_not_found;
}

AdhocBundle::~AdhocBundle() {
    if (lock_)
        remove_bundle(path_);
}

} // namespace ctrd::ctl

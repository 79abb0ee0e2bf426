#include "ctrd/bus/leftovers.hpp"

#include "ctrd/activation/record.hpp"
#include "ctrd/activation/stop_mark.hpp"
#include "ctrd/base/names.hpp"
#include "ctrd/bus/log.hpp"
#include "machined-plugin/machine_socket.hpp"

#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace ctrd::bus {
namespace {

void add_names(const std::string& folder, std::set<std::string>& names) {
    std::error_code error;
    for (std::filesystem::directory_iterator at{folder, error}, end; !error && at != end; at.increment(error)) {
        std::string name = at->path().filename();
        for (const char* suffix : {".json", ".stop"})
            if (name.ends_with(suffix))
                name.resize(name.size() - std::char_traits<char>::length(suffix));
        if (is_container_name(name))
            names.insert(std::move(name));
    }
}

} // namespace

std::set<std::string> find_leftovers() {
    std::set<std::string> names;
    add_names("/run/ctrd/run", names);
    add_names(std::string{systemd::machine_socket_folder}, names);
    add_names(std::string{systemd::host_files_folder}, names);
    return names;
}

void remove_leftovers(const std::string& container) {
    for (const auto& removed : {activation::remove_record(container), activation::unmark_stop(container)})
        if (!removed)
            log_warning(removed.error());
    std::error_code error;
    std::filesystem::remove_all(systemd::host_files_of(container), error);
    if (error)
        log_warning(os_error(error.value(), "cannot remove '" + systemd::host_files_of(container) + "'"));
    const std::string incoming = systemd::incoming_folder_of(container);
    ::unlink(systemd::machine_socket_path(container).c_str());
    if (::rmdir(incoming.c_str()) < 0 && errno != ENOENT && errno != EBUSY)
        log_warning(os_error(errno, "cannot remove '" + incoming + "'"));
}

} // namespace ctrd::bus

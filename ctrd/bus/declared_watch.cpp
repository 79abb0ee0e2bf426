#include "ctrd/bus/declared_watch.hpp"

#include "ctrd/base/names.hpp"
#include "ctrd/bus/log.hpp"

#include <sys/inotify.h>

#include <cerrno>
#include <filesystem>

namespace ctrd::bus {
namespace {

constexpr std::uint32_t outer_events = IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_ONLYDIR;
// A file that is written whole gets its name by a link, or by a rename over an older one.
constexpr std::uint32_t inner_events =
    IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_ONLYDIR;

} // namespace

Result<void> DeclaredWatch::start() {
    sd_event_source* source = nullptr;
    if (const int r = sd_event_add_inotify(event_, &source, folder_.c_str(), outer_events, on_outer, this); r < 0)
        return fail(os_error(-r, "cannot watch '" + folder_ + "'"));
    outer_.reset(source);
    std::error_code error;
    for (std::filesystem::directory_iterator at{folder_, error}, end; !error && at != end; at.increment(error))
        watch_inner(at->path().filename());
    return {};
}

void DeclaredWatch::watch_inner(const std::string& name) {
    if (!is_container_name(name))
        return;
    auto& folder = folders_[name];
    folder.watch = this;
    folder.name = name;
    sd_event_source* source = nullptr;
    const std::string path = folder_ + "/" + name;
    const int r = sd_event_add_inotify(event_, &source, path.c_str(), inner_events, on_inner, &folder);
    if (r < 0) {
        if (r != -ENOENT)
            log_warning(os_error(-r, "cannot watch '" + path + "'"));
        folders_.erase(name);
        return;
    }
    folder.source.reset(source);
}

int DeclaredWatch::on_outer(sd_event_source*, const inotify_event* event, void* userdata) noexcept {
    auto& self = *static_cast<DeclaredWatch*>(userdata);
    if ((event->mask & (IN_Q_OVERFLOW | IN_IGNORED)) != 0) {
        self.events_.lost();
        return 0;
    }
    if (event->len == 0)
        return 0;
    const std::string name = event->name;
    if ((event->mask & (IN_DELETE | IN_MOVED_FROM)) != 0)
        self.folders_.erase(name);
    else
        self.watch_inner(name); // before it is read: what is written after that is told
    self.events_.changed(name);
    return 0;
}

int DeclaredWatch::on_inner(sd_event_source*, const inotify_event* event, void* userdata) noexcept {
    auto& folder = *static_cast<Folder*>(userdata);
    if ((event->mask & IN_Q_OVERFLOW) != 0)
        folder.watch->events_.lost();
    else if (event->len != 0 && std::string_view{event->name} == "config.json")
        folder.watch->events_.changed(folder.name);
    return 0;
}

} // namespace ctrd::bus

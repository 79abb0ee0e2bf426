// Tells when a compiled container appears, changes or goes (inotify on /run/ctrd/compiled and the folders in it).
#pragma once

#include "ctrd/base/result.hpp"
#include "ctrd/bus/event.hpp"

#include <functional>
#include <map>
#include <string>

namespace ctrd::bus {

class DeclaredWatch {
public:
    /// `changed`: one container's name. `lost`: events were lost, look at everything.
    struct Events {
        std::function<void(const std::string& name)> changed{};
        std::function<void()> lost{};
    };
    DeclaredWatch(sd_event* event, std::string folder, Events events)
        : event_{event}, folder_{std::move(folder)}, events_{std::move(events)} {}
    DeclaredWatch(const DeclaredWatch&) = delete;
    DeclaredWatch& operator=(const DeclaredWatch&) = delete;

    /// Watches from now on; what is there already is told by nobody.
    Result<void> start();

private:
    void watch_inner(const std::string& name);
    static int on_outer(sd_event_source* source, const inotify_event* event, void* userdata) noexcept;
    static int on_inner(sd_event_source* source, const inotify_event* event, void* userdata) noexcept;

    sd_event* event_;
    std::string folder_;
    Events events_;
    EventSource outer_{};
    struct Folder {
        DeclaredWatch* watch{nullptr};
        std::string name{};
        EventSource source{};
    };
    std::map<std::string, Folder> folders_{};
};

} // namespace ctrd::bus

#include "ctrd/bus/holds.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace ctrd::bus {
namespace {

constexpr const char* folder = "/run/ctrd/run";
constexpr std::string_view suffix = ".held";

std::string note_of(const std::string& name) { return std::string{folder} + "/" + name + std::string{suffix}; }

} // namespace

Result<void> Holds::add(const std::string& name, const CallerRef& caller) {
    if (!held(name)) {
        TRY_VOID(make_dirs(folder, 0700));
        TRY_VOID(write_atomic(note_of(name), "", 0600));
    }
    caller->on_gone([this, name, kept = caller.get()] { on_gone(name, kept); });
    holders_[name].push_back(caller);
    return {};
}

void Holds::forget(const std::string& name) {
    if (holders_.erase(name) > 0)
        ::unlink(note_of(name).c_str());
}

bool Holds::let_go(const std::string& name, const CallerRef& caller) {
    const auto holders = holders_.find(name);
    if (holders == holders_.end())
        return false;
    const auto let =
        std::erase_if(holders->second, [&](const CallerRef& one) { return one->name() == caller->name(); });
    return let > 0 && holders->second.empty();
}

void Holds::on_gone(const std::string& name, const Caller* caller) {
    const auto holders = holders_.find(name);
    if (holders == holders_.end())
        return;
    std::erase_if(holders->second, [caller](const CallerRef& one) { return one.get() == caller; });
    if (!holders->second.empty())
        return;
    thaw_(name); // before the note goes: who is killed here is followed by one who finds it
    forget(name);
}

std::vector<std::string> held_before() {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> entries{::opendir(folder), ::closedir};
    while (const dirent* entry = entries ? ::readdir(entries.get()) : nullptr)
        if (std::string name = entry->d_name; name.ends_with(suffix)) {
            name.resize(name.size() - suffix.size());
            if (is_container_name(name))
                names.push_back(std::move(name));
        }
    return names;
}

void forget_held_before(const std::string& name) { ::unlink(note_of(name).c_str()); }

} // namespace ctrd::bus

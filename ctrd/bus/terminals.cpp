#include "ctrd/bus/terminals.hpp"

#include "ctrd/activation/record.hpp"
#include "ctrd/bus/log.hpp"
#include "ctrd/bus/stored_descriptors.hpp"

#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>

namespace ctrd::bus {

void Terminals::add(const std::string& container, UniqueFd master) {
    end(container);
    auto slot = std::make_shared<Terminal*>(nullptr);
    auto terminal = Terminal::watch(event_, std::move(master), [this, slot] {
        ending_.remove_if([&](const auto& one) { return one.get() == *slot; });
    });
    if (!terminal)
        return log_warning(std::move(terminal).context("container '" + container + "'").error());
    *slot = terminal->get();
    by_name_.insert_or_assign(container, *std::move(terminal));
}

void Terminals::end(const std::string& container) {
    auto known = by_name_.extract(container);
    if (!known)
        return;
    Terminal& terminal = *known.mapped();
    ending_.push_back(std::move(known.mapped()));
    terminal.end();
}

void Terminals::recover(pid_t manager, const std::vector<std::string>& containers) {
    auto found = take_descriptors_from(
        manager, [](std::string_view link) { return link.ends_with("/ptmx"); }, is_terminal_master);
    if (!found)
        return log_warning(std::move(found).context("cannot take terminals out of systemd's stores").error());
    if (found->empty())
        return;
    for (const auto& name : containers) {
        const auto record = activation::read_record(name);
        if (!record || record->terminal == 0)
            continue;
        const auto its = std::ranges::find_if(*found, [&](const UniqueFd& fd) {
            struct stat st {};
            return fd && ::fstat(fd.get(), &st) == 0 && st.st_dev == record->terminal;
        });
        if (its != found->end())
            add(name, std::move(*its));
    }
}

bool is_terminal_master(int fd) noexcept {
    unsigned number = 0;
    return ::ioctl(fd, TIOCGPTN, &number) == 0;
}

} // namespace ctrd::bus

#include "ctrd/bus/terminals.hpp"

#include "ctrd/bus/stored_descriptors.hpp"

#include <sys/ioctl.h>

namespace ctrd::bus {

void Terminals::add(const std::string& container, UniqueFd master) {
    terminals_.add(container, [&](std::function<void()> gone) {
        return Terminal::watch(event_, std::move(master), std::move(gone));
    });
}

void Terminals::recover(pid_t manager, const std::vector<std::string>& containers) {
    static constexpr RecordedKind kind{"terminals", [](std::string_view link) { return link.ends_with("/ptmx"); },
                                       is_terminal_master, &activation::RunRecord::terminal,
                                       [](const struct stat& st) -> std::uint64_t { return st.st_dev; }};
    recover_recorded(manager, kind, containers,
                     [this](const activation::RunRecord& record, UniqueFd fd) { add(record.name, std::move(fd)); });
}

bool is_terminal_master(int fd) noexcept {
    unsigned number = 0;
    return ::ioctl(fd, TIOCGPTN, &number) == 0;
}

} // namespace ctrd::bus

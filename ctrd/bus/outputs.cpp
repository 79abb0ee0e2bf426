#include "ctrd/bus/outputs.hpp"

#include "ctrd/bus/stored_descriptors.hpp"

#include <sys/socket.h>

#include <cerrno>

namespace ctrd::bus {

void Outputs::add(const std::string& container, pid_t leader, UniqueFd pipe) {
    if (!journal_)
        journal_ = UniqueFd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (!journal_)
        return log_warning(os_error(errno, "container '" + container + "': cannot make a socket for the journal"));
    outputs_.add(container, [&](std::function<void()> gone) {
        return Output::watch(event_, writer_of(container, leader), std::move(pipe), journal_.get(), std::move(gone));
    });
}

void Outputs::recover(pid_t manager, const std::vector<std::string>& containers) {
    static constexpr RecordedKind kind{"output", [](std::string_view link) { return link.starts_with("pipe:"); },
                                       is_pipe, &activation::RunRecord::output,
                                       [](const struct stat& st) -> std::uint64_t { return st.st_ino; }};
    recover_recorded(manager, kind, containers, [this](const activation::RunRecord& record, UniqueFd fd) {
        add(record.name, record.leader, std::move(fd));
    });
}

bool is_pipe(int fd) noexcept {
    struct stat st {};
    return ::fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

} // namespace ctrd::bus

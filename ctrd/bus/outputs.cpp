#include "ctrd/bus/outputs.hpp"

#include "ctrd/activation/record.hpp"
#include "ctrd/bus/log.hpp"
#include "ctrd/bus/stored_descriptors.hpp"

#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace ctrd::bus {

void Outputs::add(const std::string& container, pid_t leader, UniqueFd pipe) {
    end(container);
    if (!journal_)
        journal_ = UniqueFd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (!journal_)
        return log_warning(os_error(errno, "container '" + container + "': cannot make a socket for the journal"));
    auto slot = std::make_shared<Output*>(nullptr);
    auto output = Output::watch(event_, writer_of(container, leader), std::move(pipe), journal_.get(), [this, slot] {
        ending_.remove_if([&](const auto& one) { return one.get() == *slot; });
    });
    if (!output)
        return log_warning(std::move(output).context("container '" + container + "'").error());
    *slot = output->get();
    by_name_.insert_or_assign(container, *std::move(output));
}

void Outputs::end(const std::string& container) {
    auto known = by_name_.extract(container);
    if (!known)
        return;
    Output& output = *known.mapped();
    ending_.push_back(std::move(known.mapped()));
    output.end();
}

void Outputs::recover(pid_t manager, const std::vector<std::string>& containers) {
    auto found = take_descriptors_from(
        manager, [](std::string_view link) { return link.starts_with("pipe:"); }, is_pipe);
    if (!found)
        return log_warning(std::move(found).context("cannot take output out of systemd's stores").error());
    for (const auto& name : containers) {
        const auto record = activation::read_record(name);
        if (!record || record->output == 0)
            continue;
        const auto its = std::ranges::find_if(*found, [&](const UniqueFd& fd) {
            struct stat st {};
            return fd && ::fstat(fd.get(), &st) == 0 && st.st_ino == record->output;
        });
        if (its != found->end())
            add(name, record->leader, std::move(*its));
    }
}

bool is_pipe(int fd) noexcept {
    struct stat st {};
    return ::fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

} // namespace ctrd::bus

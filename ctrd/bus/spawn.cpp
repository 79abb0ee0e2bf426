#include "ctrd/bus/spawn.hpp"

#include <fcntl.h>

#include <cerrno>
#include <csignal>

namespace ctrd::bus {
namespace {

constexpr int first_free_fd = 16; // above every number that the child is to have

} // namespace

SpawnPlan::SpawnPlan() {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
}

SpawnPlan::~SpawnPlan() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
}

Result<void> SpawnPlan::pass(int fd, int number) {
    UniqueFd copy{::fcntl(fd, F_DUPFD_CLOEXEC, first_free_fd)};
    if (!copy)
        return fail(os_error(errno, "cannot pass a descriptor on"));
    ::posix_spawn_file_actions_adddup2(&actions_, copy.get(), number);
    copies_.push_back(std::move(copy));
    return {};
}

Result<pid_t> SpawnPlan::spawn(const char* program, char* const* argv) const {
    char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char* const environment[] = {path, nullptr};
    pid_t pid = 0;
    if (const int err = ::posix_spawn(&pid, program, &actions_, &attributes_, argv, environment); err != 0)
        return fail(os_error(err, "cannot execute '" + std::string{program} + "'"));
    return pid;
}

} // namespace ctrd::bus

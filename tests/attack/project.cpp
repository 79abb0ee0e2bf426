#include "tests/attack/attack.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace attack {
namespace {

constexpr std::uint32_t other_project = 4242;
constexpr long file_getattr = 468; // Linux 6.17
constexpr long file_setattr = 469;

void tell(const char* how, long result) { std::printf("%s: %s\n", how, result < 0 ? std::strerror(errno) : "LOOT"); }

/// file_attr of Linux 6.17.
struct Attributes {
    std::uint64_t flags{0};
    std::uint32_t extent_size{0}, extents{0}, project{0}, copied_extent_size{0};
};

} // namespace

int project(const char* folder) {
    const int fd = ::open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fsxattr attributes{};
    if (fd < 0 || ::ioctl(fd, FS_IOC_FSGETXATTR, &attributes) < 0) {
        std::printf("no attributes: %s\n", std::strerror(errno));
        return 1;
    }
    const fsxattr before = attributes;
    attributes.fsx_projid = other_project;
    tell("another project", ::ioctl(fd, FS_IOC_FSSETXATTR, &attributes));
    attributes = before;
    attributes.fsx_xflags ^= FS_XFLAG_PROJINHERIT;
    tell("what is made in it", ::ioctl(fd, FS_IOC_FSSETXATTR, &attributes));
    int flags = 0;
    if (::ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
        flags ^= FS_PROJINHERIT_FL;
        tell("the flag", ::ioctl(fd, FS_IOC_SETFLAGS, &flags));
    }
    Attributes other;
    if (::syscall(file_getattr, fd, "", &other, sizeof other, AT_EMPTY_PATH) == 0) {
        other.project = other_project;
        tell("by the newer call", ::syscall(file_setattr, fd, "", &other, sizeof other, AT_EMPTY_PATH));
    }
    std::puts("tried");
    return 0;
}

} // namespace attack

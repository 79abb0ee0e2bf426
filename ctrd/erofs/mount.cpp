#include "ctrd/erofs/mount.hpp"

#include "ctrd/base/file.hpp"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include <cerrno>

namespace ctrd::erofs {
namespace {

constexpr const char* why_a_loop = "EROFS files are mounted without one from Linux 6.12 on, where they are on a disk's "
                                   "file system; layers = \"folders\" in "
                                   "/etc/ctrd/images.toml needs none for images that come from then on";
constexpr int most_attempts = 100;

Result<UniqueFd> open_context() {
    UniqueFd context{::fsopen("erofs", FSOPEN_CLOEXEC)};
    if (!context && errno == ENODEV)
        return fail(Error{std::errc::no_such_device, "this kernel has no EROFS"});
    return context ? Result<UniqueFd>{std::move(context)} : fail(os_error(errno, "cannot mount an EROFS file"));
}

/// ENOTBLK: the kernel wants a device.
Result<UniqueFd> mount_source(const std::string& source) {
    const UniqueFd context = TRY(open_context());
    UniqueFd mount;
    if (::fsconfig(context.get(), FSCONFIG_SET_STRING, "source", source.c_str(), 0) == 0 &&
        ::fsconfig(context.get(), FSCONFIG_SET_FLAG, "ro", nullptr, 0) == 0 &&
        ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0)
        mount = UniqueFd{::fsmount(context.get(), FSMOUNT_CLOEXEC,
                                   MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)};
    if (!mount)
        return fail(os_error(errno, "cannot mount an EROFS file", "see the kernel's log (dmesg)"));
    return mount;
}

std::string descriptor_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

/// A loop device that is free again when nobody has it open or mounted any more, however that comes.
Result<UniqueFd> make_loop(int file) {
    auto control = open_at(AT_FDCWD, "/dev/loop-control", O_RDWR);
    if (!control) {
        control.error().hint = control.error().code == std::errc::operation_not_permitted
                                   ? "the unit has no right to loop devices; 'ctrctl apply' gives it that"
                                   : why_a_loop;
        return fail(std::move(control).context("a loop device").error());
    }
    for (int attempt = 0; attempt < most_attempts; ++attempt) {
        const int number = ::ioctl(control->get(), LOOP_CTL_GET_FREE);
        if (number < 0)
            return fail(os_error(errno, "cannot get a loop device"));
        UniqueFd device = TRY(open_at(AT_FDCWD, "/dev/loop" + std::to_string(number), O_RDONLY));
        loop_config config{};
        config.fd = static_cast<std::uint32_t>(file);
        config.info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO;
        if (::ioctl(device.get(), LOOP_CONFIGURE, &config) == 0)
            return device;
        if (errno != EBUSY) // somebody else was faster
            return fail(os_error(errno, "cannot set up a loop device"));
    }
    return fail(os_error(EBUSY, "cannot get a loop device"));
}

} // namespace

Result<UniqueFd> mount(int file) {
    auto mounted = mount_source(descriptor_path(file));
    if (mounted || mounted.error().code != std::errc{ENOTBLK})
        return mounted;
    const UniqueFd loop = TRY(make_loop(file));
    return mount_source(descriptor_path(loop.get()));
}

Result<void> check_kernel() {
    TRY(open_context());
    return {};
}

} // namespace ctrd::erofs

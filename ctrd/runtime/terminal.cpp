#include "ctrd/base/rooted.hpp"
#include "ctrd/runtime/child.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

namespace ctrd::runtime {

int open_terminal(ChildContext& context, const std::optional<oci::ConsoleSize>& size) noexcept {
    const int master = rooted::open_raw(context.root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, 0, RESOLVE_NO_SYMLINKS);
    if (master < 0)
        return errno;
    // TIOCGPTPEER opens the slave of this very master: no path in the image's /dev can come between.
    int unlock = 0;
    if (::ioctl(master, TIOCSPTLCK, &unlock) < 0)
        return errno;
    const int slave = ::ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0)
        return errno;
    if (size) {
        const winsize window{size->rows, size->columns, 0, 0};
        ::ioctl(slave, TIOCSWINSZ, &window);
    }
    termios modes{};
    if (context.plain_newlines && ::tcgetattr(slave, &modes) == 0) {
        modes.c_oflag &= ~static_cast<tcflag_t>(ONLCR);
        ::tcsetattr(slave, TCSANOW, &modes);
    }
    if (::fchown(slave, context.process->process.user.uid, static_cast<gid_t>(-1)) < 0)
        return errno;
    // runc's console protocol: one message with the master, its text the terminal's path.
    static constexpr char path[] = "/dev/pts/ptmx";
    if (const int err = send_descriptor(context.console_socket, path, sizeof path - 1, master); err != 0)
        return err;
    ::close(master);
    context.terminal = slave;
    return 0;
}

} // namespace ctrd::runtime

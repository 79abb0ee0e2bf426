// ctrd: io.ctrd1 on the system bus. A front: containers run, and go on running, without it.
#include "ctrd/bus/daemon.hpp"
#include "ctrd/bus/log.hpp"

#include <cstdio>

int main(int argc, char**) {
    if (argc != 1) {
        std::fputs("usage: ctrd\n\nThe container manager's D-Bus service, io.ctrd1. systemd starts it (ctrd.service) "
                   "when it is first asked\n"
                   "for anything; 'ctrctl' and 'busctl' talk to it.\n",
                   stderr);
        return 2;
    }
    const auto done = ctrd::bus::run_daemon();
    if (!done) {
        ctrd::bus::log_error(done.error());
        return 1;
    }
    return 0;
}

// ctrd: io.ctrd1 on the system bus. A front: containers run, and go on running, without it.
#include "ctrd/bus/daemon.hpp"
#include "ctrd/bus/log.hpp"
#include "ctrd/bus/wake.hpp"

#include <cstdio>
#include <string_view>

int main(int argc, char** argv) {
    const bool wakes = argc == 2 && std::string_view{argv[1]} == "--wake"; // ctrd-wake.service
    if (argc != 1 && !wakes) {
        std::fputs("usage: ctrd\n\nThe container manager's D-Bus service, io.ctrd1. systemd starts it (ctrd.service) "
                   "when it is first asked\n"
                   "for anything; 'ctrctl' and 'busctl' talk to it.\n",
                   stderr);
        return 2;
    }
    const auto done = wakes ? ctrd::bus::run_wake() : ctrd::bus::run_daemon();
    if (!done) {
        ctrd::bus::log_error(done.error());
        return 1;
    }
    return 0;
}

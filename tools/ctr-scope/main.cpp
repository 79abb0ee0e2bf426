// ctr-scope UNIT SLICE DESCRIPTION: enters a new scope, says on stdin (a socket of ctr-oci's) in which cgroup it is
// now, and stays until the other side has put the container's process beside it and says so, or is gone.
#include "ctrd/base/fd.hpp"
#include "ctrd/base/process.hpp"
#include "machined-plugin/scope.hpp"

#include <cstdio>

namespace {

using namespace ctrd;

Result<std::string> enter(char** argv) {
    TRY_VOID(systemd::enter_scope(argv[1], argv[2], argv[3]));
    return cgroup_of(::getpid());
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fputs("ctr-scope: a helper of ctr-oci; usage: ctr-scope UNIT SLICE DESCRIPTION\n", stderr);
        return 2;
    }
    const auto cgroup = enter(argv);
    const std::string answer = cgroup ? "cgroup " + *cgroup : "error " + to_text(cgroup.error());
    if (!send_fds(STDIN_FILENO, answer, {}) || !cgroup)
        return 1;
    [[maybe_unused]] auto leave = receive_fds(STDIN_FILENO);
    return 0;
}

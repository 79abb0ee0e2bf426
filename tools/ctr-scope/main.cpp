// ctr-oci's voice on the bus, since a static program has none:
//
//     ctr-scope UNIT SLICE DESCRIPTION [PROPERTY]...
//         enters a new scope, says on stdin (a socket of ctr-oci's) in which cgroup it is now, and stays until the
//         other side has put the container's process beside it and says so, or is gone
//     ctr-scope --set UNIT PROPERTY...
//         changes a scope's properties
//
// A PROPERTY is NAME=SIGNATURE:VALUE. An answer is "cgroup PATH", "done", or "error TEXT".
#include "ctrd/base/fd.hpp"
#include "ctrd/base/process.hpp"
#include "machined-plugin/scope.hpp"

#include <cstdio>
#include <vector>

namespace {

using namespace ctrd;
using Words = std::vector<std::string>;

Result<std::string> enter(const Words& words) {
    TRY_VOID(systemd::enter_scope({words[0], words[1], words[2], {words.begin() + 3, words.end()}}));
    return "cgroup " + TRY(cgroup_of(::getpid()));
}

Result<std::string> change(const Words& words) {
    TRY_VOID(systemd::set_scope_properties(words[1], {words.begin() + 2, words.end()}));
    return "done";
}

} // namespace

int main(int argc, char** argv) {
    const Words words{argv + 1, argv + argc};
    const bool is_change = words.size() >= 2 && words[0] == "--set";
    if (words.size() < 3 && !is_change) {
        std::fputs("ctr-scope: a helper of ctr-oci; usage: ctr-scope UNIT SLICE DESCRIPTION [PROPERTY]...\n", stderr);
        return 2;
    }
    const auto answer = is_change ? change(words) : enter(words);
    if (!send_fds(STDIN_FILENO, answer ? *answer : "error " + to_text(answer.error()), {}) || !answer)
        return 1;
    if (!is_change) [[maybe_unused]]
        auto leave = receive_fds(STDIN_FILENO);
    return 0;
}

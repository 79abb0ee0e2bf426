// ctr-declare: for ctrd, makes, renames and removes declarations until the next boot, and ends. The request is in a
// memory file on descriptor 3, and what went wrong on stderr.
#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"
#include "tools/ctrctl/declaring.hpp"

#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sched.h>

#include <cerrno>
#include <cstdio>
#include <string_view>

namespace {

using namespace ctrd;

constexpr int request_fd = 3;
constexpr std::size_t largest_request = 4U << 20; // a declaration of 256 KiB, escaped
constexpr const char* usage =
    "usage: ctr-declare create|rename|remove NAME\n\nctrd runs it. Exit codes: 0 done, 1 failure, 2 bad input.\n";

/// ctrd's own mount namespace hides the users' folders, has a /tmp of its own and is read-only: the host's is process
/// 1's.
Result<void> enter_host() {
    const UniqueFd host = TRY(open_at(AT_FDCWD, "/proc/1/ns/mnt", O_RDONLY));
    if (::setns(host.get(), CLONE_NEWNS) < 0)
        return fail(os_error(errno, "cannot enter the host's mount namespace"));
    return {};
}

Result<void> run(std::string_view verb, const std::string& name) {
    TRY_VOID(check_container_name(name));
    const UniqueFd file{request_fd};
    const auto request =
        nlohmann::json::parse(TRY(read_all(file.get(), largest_request).context("request")), nullptr, false);
    if (!request.is_object())
        return fail(bad_input("request: it is no JSON object"));
    TRY_VOID(enter_host());
    if (verb == "create")
        return ctl::declare_until_boot(name, request.value("declaration", std::string{}));
    if (verb == "rename")
        return ctl::rename_declared(name, request.value("to", std::string{}));
    return ctl::undeclare(name, request.value("force", false));
}

} // namespace

int main(int argc, char** argv) {
    const std::string_view verb = argc == 3 ? argv[1] : "";
    if (verb != "create" && verb != "rename" && verb != "remove") {
        std::fputs(usage, stderr);
        return 2;
    }
    try {
        const auto done = run(verb, argv[2]);
        if (done)
            return 0;
        std::fputs(to_text(done.error()).c_str(), stderr);
        return done.error().code == std::errc::invalid_argument ? 2 : 1;
    } catch (const std::exception& error) { // a member of another type, or no memory
        std::fprintf(stderr, "request: %s\n", error.what());
        return 2;
    }
}

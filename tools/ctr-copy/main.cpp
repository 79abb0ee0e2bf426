// ctr-copy: for ctrd, copies files into a running container or out of one, and ends. The request is in a memory file on
// descriptor 3, the data on stdin or stdout, and what went wrong on stderr.
#include "tools/ctr-copy/copy.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"

#include <csignal>
#include <cstdio>
#include <string_view>

namespace {

using namespace ctrd;

constexpr int request_fd = 3;
constexpr std::size_t largest_request = 1U << 16;
constexpr const char* usage =
    "usage: ctr-copy to|from NAME\n\nctrd runs it. Exit codes: 0 done, 1 failure, 2 bad input.\n";

Result<void> run(std::string_view verb, const std::string& name) {
    TRY_VOID(check_container_name(name));
    const UniqueFd file{request_fd};
    const std::string text = TRY(read_all(file.get(), largest_request).context("request"));
    const auto request = TRY(copy::parse_request(text));
    const UniqueFd root = TRY(copy::enter(name, request));
    return verb == "to" ? copy::receive(root.get(), request) : copy::send(root.get(), request);
}

} // namespace

int main(int argc, char** argv) {
    const std::string_view verb = argc == 3 ? argv[1] : "";
    if (verb != "to" && verb != "from") {
        std::fputs(usage, stderr);
        return 2;
    }
    ::signal(SIGPIPE, SIG_IGN); // who does not read on gets an error, and we say so
    const auto done = run(verb, argv[2]);
    if (done)
        return 0;
    std::fputs(to_text(done.error()).c_str(), stderr);
    return done.error().code == std::errc::invalid_argument ? 2 : 1;
}

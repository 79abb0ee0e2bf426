#include "tools/ctr-run/fall_back.hpp"

#include "ctrd/activation/starts.hpp"
#include "tools/ctr-run/commands.hpp"

#include <algorithm>

namespace ctrd::run {
namespace {

/// Whether the kernel has no room for our listener beside the profile's.
bool has_listener(const Declared& declared) { return declared.spec.seccomp && oci::notifies(*declared.spec.seccomp); }

/// Those that the last start of this very config has found out.
std::vector<std::string> learnt(const std::string& name, const Declared& declared) {
    auto starts = activation::read_starts(name);
    if (!starts || starts->fallen_back_config != declared.stamp)
        return {};
    return std::move(starts->fallen_back);
}

} // namespace

Result<std::vector<std::string>> known_fall_backs(const std::string& name, const Declared& declared) {
    const bool no_room = has_listener(declared);
    std::optional<std::vector<std::string>> known; // read where a socket asks for it: few do
    std::vector<std::string> names;
    for (const DeclaredSocket& socket : declared.sockets) {
        if (no_room && socket.deliver == Deliver::adopt)
            return fail(Error{std::errc::not_supported,
                              "socket '" + socket.name +
                                  "' can't be adopted: the seccomp profile has a listener of its own, and the kernel "
                                  "has room for one",
                              "deliver = \"proxy\", or a profile without SCMP_ACT_NOTIFY"});
        if (socket.deliver != Deliver::automatic)
            continue;
        if (!no_room && !known)
            known = learnt(name, declared);
        if (no_room || std::ranges::find(*known, socket.name) != known->end())
            names.push_back(socket.name);
    }
    return names;
}

void keep_fall_backs(const std::string& name, const Declared& declared, std::vector<std::string> names) {
    auto starts = activation::read_starts(name);
    if (!starts || (starts->fallen_back == names && (names.empty() || starts->fallen_back_config == declared.stamp)))
        return;
    for (const std::string& socket : names)
        print_warning(name, Error{std::errc::not_supported,
                                  "socket '" + socket + "' is proxied, since it can't be adopted: " +
                                      (has_listener(declared) ? "the seccomp profile has a listener of its own"
                                                              : "the program listens on it, and no bind was seen"),
                                  "deliver = \"proxy\" says that it shall be so"});
    starts->fallen_back = std::move(names);
    starts->fallen_back_config = declared.stamp;
    if (auto written = activation::write_starts(name, *starts); !written)
        print_warning(name, written.error());
}

} // namespace ctrd::run

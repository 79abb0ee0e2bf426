#include "ctrd/runtime/capability_grants.hpp"

#include "ctrd/oci/names.hpp"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ctrd::runtime {
namespace {

constexpr unsigned last_capability = 63;

/// As many as anybody reads.
constexpr std::size_t most_names = 16;

void add(std::vector<std::string>& sentences, const char* why, const std::vector<std::string>& names) {
    if (names.empty())
        return;
    std::string sentence = std::string{"process.capabilities: "} + why;
    for (std::size_t i = 0; i < names.size() && i < most_names; ++i)
        sentence += (i == 0 ? ": " : ", ") + names[i].substr(0, 64);
    if (names.size() > most_names)
        sentence += " and " + std::to_string(names.size() - most_names) + " more";
    sentences.push_back(std::move(sentence));
}

std::vector<std::string> names_of(std::uint64_t sets) {
    std::vector<std::string> names;
    for (unsigned number = 0; number <= last_capability; ++number)
        if ((sets >> number & 1) != 0)
            names.push_back(oci::capability_name(number));
    return names;
}

/// Of `wanted`, what can't be held.
std::uint64_t beyond_our_own(std::uint64_t wanted) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    if (::syscall(SYS_capget, &header, data) < 0)
        return 0;
    return wanted & ~(data[0].permitted | static_cast<std::uint64_t>(data[1].permitted) << 32);
}

/// Of `wanted`, what is not in the bounding set, or, in a new user namespace, what this kernel does not have.
std::uint64_t beyond_bounding(std::uint64_t wanted, bool in_user_namespace) {
    for (unsigned number = 0; number <= last_capability; ++number) {
        if ((wanted >> number & 1) == 0)
            continue;
        const int held = ::prctl(PR_CAPBSET_READ, number, 0, 0, 0);
        if (held > 0 || (held == 0 && in_user_namespace))
            wanted &= ~(std::uint64_t{1} << number);
    }
    return wanted;
}

} // namespace

std::vector<std::string> capabilities_not_granted(const oci::Process& process, bool in_user_namespace) {
    std::vector<std::string> sentences;
    add(sentences, "left out, since they have no meaning here", process.unknown_capabilities);
    if (!process.capabilities)
        return sentences;
    const oci::Capabilities& sets = *process.capabilities;
    const std::uint64_t held = sets.permitted | sets.ambient;
    const std::uint64_t missing = beyond_bounding(sets.bounding, in_user_namespace) |
                                  (in_user_namespace ? beyond_bounding(held, true) : beyond_our_own(held));
    add(sentences,
        in_user_namespace ? "left out, since this kernel has none like it" : "left out, since we lack them ourselves",
        names_of(missing));
    add(sentences, "left out of inheritable, since ambient and permitted don't hold them",
        names_of(sets.inheritable & ~(sets.ambient & sets.permitted)));
    return sentences;
}

} // namespace ctrd::runtime

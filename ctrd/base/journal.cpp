#include "ctrd/base/journal.hpp"

#include "ctrd/base/fd.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace ctrd {
namespace {

constexpr const char* journal_path = "/run/systemd/journal/socket";

} // namespace

std::string to_journal_datagram(std::span<const JournalField> fields) {
    std::string text;
    for (const auto& [name, value] : fields) {
        text += name;
        if (!value.contains('\n')) {
            text += "=" + value + "\n";
            continue;
        }
        text += '\n'; // else its length says where it ends
        for (unsigned shift = 0; shift < 64; shift += 8)
            text += static_cast<char>(static_cast<std::uint64_t>(value.size()) >> shift & 0xff);
        text += value + "\n";
    }
    return text;
}

Result<void> send_to_journal(std::span<const JournalField> fields, std::chrono::milliseconds patience) {
    const timeval limit{0, static_cast<suseconds_t>(patience.count() % 1000 * 1000)};
    const bool wait = limit.tv_usec > 0; // zero would be for ever
    const UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, journal_path);
    const std::string datagram = to_journal_datagram(fields);
    if (!socket || ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) < 0 ||
        ::sendto(socket.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT),
                 reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        return fail(os_error(errno, "cannot write to the journal"));
    return {};
}

} // namespace ctrd

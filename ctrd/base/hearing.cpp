#include "ctrd/base/hearing.hpp"

#include "ctrd/base/file.hpp"

#include <sys/uio.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <optional>

namespace ctrd {
namespace {

std::string_view line_of(const std::string& status, std::string_view key) {
    const std::size_t at = status.find("\n" + std::string{key} + ":\t");
    if (at == std::string::npos)
        return {};
    const std::size_t begin = at + key.size() + 3;
    return std::string_view{status}.substr(begin, status.find('\n', begin) - begin);
}

std::optional<std::uint64_t> mask_of(const std::string& status, std::string_view key) {
    const std::string_view digits = line_of(status, key);
    std::uint64_t mask = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), mask, 16).ec != std::errc{})
        return std::nullopt;
    return mask;
}

#if defined(__x86_64__)
constexpr long sigtimedwait_number = 128;
#elif defined(__aarch64__)
constexpr long sigtimedwait_number = 137;
#endif
constexpr long sigtimedwait_number_32 = 177; // of 32-bit x86 and ARM; nothing that waits has it elsewhere

/// The set of signals that the main thread waits for in rt_sigtimedwait(2), as tini does. Empty where it does not, or
/// where we can't tell.
std::uint64_t awaited_signals(pid_t pid) {
    const auto text = read_file("/proc/" + std::to_string(pid) + "/syscall");
    long number = -1;
    unsigned long address = 0;
    if (!text || std::sscanf(text->c_str(), "%ld %lx", &number, &address) != 2 ||
        (number != sigtimedwait_number && number != sigtimedwait_number_32))
        return 0;
    std::uint64_t set = 0;
    iovec local{&set, sizeof set};
    iovec remote{reinterpret_cast<void*>(address), sizeof set}; // NOLINT(performance-no-int-to-ptr): another process's
    return ::process_vm_readv(pid, &local, 1, &remote, 1, 0) == sizeof set ? set : 0;
}

} // namespace

Result<Hearing> parse_hearing(const std::string& status) {
    const auto blocked = mask_of(status, "SigBlk");
    const auto ignored = mask_of(status, "SigIgn");
    const auto caught = mask_of(status, "SigCgt");
    const std::string_view pids = line_of(status, "NSpid"); // outermost first: "4711\t1"
    if (!blocked || !ignored || !caught || pids.empty())
        return fail(os_error(EPROTO, "cannot read a process's signal masks"));
    return Hearing{*blocked, *ignored, *caught, pids.ends_with("\t1")};
}

Result<Hearing> read_hearing(pid_t pid) {
    const std::string status = TRY(read_file("/proc/" + std::to_string(pid) + "/status"));
    Hearing hearing = TRY(parse_hearing(status));
    hearing.blocked |= awaited_signals(pid);
    return hearing;
}

bool would_act_on(int signal, const Hearing& hearing) noexcept {
    const std::uint64_t bit = std::uint64_t{1} << (signal - 1);
    if (((hearing.caught | hearing.blocked) & bit) != 0)
        return true;
    return !hearing.namespace_init && (hearing.ignored & bit) == 0;
}

} // namespace ctrd

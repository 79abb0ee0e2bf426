#include "tools/ctr-oci/environment.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/rooted.hpp"
#include "ctrd/base/sealed_self.hpp"
#include "ctrd/base/text.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <numeric>

namespace ctrd::ctr_oci {
namespace {

constexpr std::size_t largest_passwd = 4U << 20;

std::optional<unsigned long> variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::nullopt : parse_number<unsigned long>(value);
}

} // namespace

std::string home_of(std::string_view passwd, std::uint32_t uid) {
    while (!passwd.empty()) {
        const auto end = std::min(passwd.find('\n'), passwd.size());
        const auto line = passwd.substr(0, end);
        const auto home = colon_field(line, 5); // name:password:uid:gid:comment:home:shell
        if (parse_number<std::uint32_t>(colon_field(line, 2)) == uid && home.starts_with('/') &&
            home.find('\0') == std::string_view::npos)
            return std::string{home};
        passwd.remove_prefix(std::min(end + 1, passwd.size()));
    }
    return "/";
}

void add_home(oci::Process& process, const std::string& root) {
    const auto is_home = [](const std::string& entry) { return entry.starts_with("HOME="); };
    const auto last = std::find_if(process.env.rbegin(), process.env.rend(), is_home);
    if (last != process.env.rend() && *last != "HOME=")
        return;
    std::erase_if(process.env, is_home);
    const UniqueFd folder{::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (!folder)
        return; // who enters it says why that is not possible
    const auto passwd = rooted::read_file(folder.get(), "/etc/passwd", largest_passwd);
    process.env.push_back("HOME=" + (passwd ? home_of(*passwd, process.user.uid) : "/"));
}

unsigned listen_fds() {
    const auto count = variable("LISTEN_FDS");
    const auto pid = variable("LISTEN_PID");
    // Podman writes 1, the payload's pid to be, where systemd writes that of whom it starts.
    const bool is_ours = !pid || *pid == 1 || *pid == static_cast<unsigned long>(::getpid());
    return count && is_ours && *count <= 1024 ? static_cast<unsigned>(*count) : 0;
}

std::vector<int> open_descriptors(unsigned count) {
    std::vector<int> result(count);
    std::iota(result.begin(), result.end(), 3);
    for (int& fd : result)
        if (::fcntl(fd, F_GETFD) < 0 || is_sealed_mount(fd))
            fd = -1;
    return result;
}

} // namespace ctrd::ctr_oci

#include "config/name_files.hpp"

#include "config/syntax.hpp"

#include <algorithm>

namespace ctrd::config {
namespace {

constexpr const char* hosts = "/etc/hosts";
constexpr const char* resolver = "/etc/resolv.conf";

bool is_free(const UnitSpec& spec, const char* path) {
    return std::ranges::none_of(spec.mounts, [&](const MountSpec& one) { return clean_path(one.target) == path; });
}

/// 127.0.1.1, as Debian has it for a host without an address of its own: "localhost" stays what 127.0.0.1 is called.
std::string text_for(const std::string& hostname) {
    std::string text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
    if (hostname != "localhost")
        text += "127.0.1.1\t" + hostname + "\n";
    return text;
}

} // namespace

NameFiles name_files(const UnitSpec& spec) {
    NameFiles files;
    if (!spec.image || runs_systemd(spec))
        return files;
    if (spec.network == Network::host) {
        for (const char* path : {hosts, resolver})
            if (is_free(spec, path))
                files.over.emplace(path, path);
    } else if (is_free(spec, hosts)) {
        files.over.emplace(hosts, hosts_file);
        files.hosts = text_for(spec.hostname.value_or(spec.name));
    }
    return files;
}

} // namespace ctrd::config

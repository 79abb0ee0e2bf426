#include "tools/ctr-run/name_files.hpp"

#include "ctrd/base/file.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

namespace ctrd::run {
namespace {

constexpr const char* hosts = "/etc/hosts";
constexpr const char* resolver = "/etc/resolv.conf";

bool has_own_network(const oci::Spec& spec) {
    return std::ranges::any_of(spec.namespaces,
                               [](const oci::Namespace& one) { return one.clone_flag == CLONE_NEWNET; });
}

bool is_mounted(const oci::Spec& spec, const std::string& path) {
    return std::ranges::find(spec.mounts, path, &oci::Mount::destination) != spec.mounts.end();
}

/// 127.0.1.1, as Debian has it for a host without an address of its own: "localhost" stays what 127.0.0.1 is called.
std::string text_for(const std::string& hostname) {
    std::string text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
    if (!hostname.empty() && hostname != "localhost")
        text += "127.0.1.1\t" + hostname + "\n";
    return text;
}

Result<std::string> write_hosts(const Declared& declared) {
    const std::string path = declared.folder + "/hosts";
    const std::string text = text_for(declared.spec.hostname);
    if (const auto there = read_file(path); !there || *there != text)
        TRY_VOID(write_atomic(path, text, 0644));
    return path;
}

/// Where links of the host lead to; empty: it has no such file.
std::string file_of_host(const char* path) {
    std::error_code error;
    const auto real = std::filesystem::canonical(path, error);
    return error || !std::filesystem::is_regular_file(real, error) ? std::string{} : real.string();
}

} // namespace

Result<std::vector<plan::Offer>> name_offers(const Declared& declared) {
    std::vector<plan::Offer> offers;
    const auto offer = [&](std::string from, const char* to) {
        if (!from.empty() && !is_mounted(declared.spec, to))
            offers.push_back({std::move(from), to, false});
    };
    if (has_own_network(declared.spec)) {
        offer(TRY(write_hosts(declared)), hosts);
        return offers;
    }
    offer(file_of_host(hosts), hosts);
    offer(file_of_host(resolver), resolver);
    return offers;
}

} // namespace ctrd::run

#include "ctrd/registry/certificates.hpp"

#include "ctrd/base/file.hpp"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

namespace ctrd::registry {
namespace {

constexpr std::size_t most_files = 64;

/// The names in a folder that end with `suffix`, sorted; none where it is not there.
std::vector<std::string> names_in(const std::string& folder, std::string_view suffix) {
    const std::unique_ptr<DIR, int (*)(DIR*)> dir{::opendir(folder.c_str()), ::closedir};
    std::vector<std::string> names;
    while (dir && names.size() < most_files) {
        const dirent* entry = ::readdir(dir.get());
        if (entry == nullptr)
            break;
        if (std::string_view{entry->d_name}.ends_with(suffix))
            names.emplace_back(entry->d_name);
    }
    std::ranges::sort(names);
    return names;
}

} // namespace

std::vector<std::string> certificate_folders() {
    std::vector<std::string> folders;
    if (const char* home = std::getenv("HOME"); ::geteuid() != 0 && home != nullptr && *home == '/')
        folders.push_back(std::string{home} + "/.config/containers/certs.d");
    folders.emplace_back("/etc/containers/certs.d");
    folders.emplace_back("/etc/docker/certs.d");
    return folders;
}

Result<void> add_certificates(CertificateTexts& texts, const std::string& folder) {
    for (const auto& name : names_in(folder, ".crt")) {
        const std::string text = TRY(read_file(folder + "/" + name));
        if (text.find("-----BEGIN") == std::string::npos)
            return fail(bad_input("'" + folder + "/" + name + "' holds no certificate in PEM form"));
        texts.authorities += text + "\n";
    }
    for (const auto& name : names_in(folder, ".cert")) {
        if (!texts.certificate.empty())
            break;
        const std::string stem = folder + "/" + name.substr(0, name.size() - 5); // ".cert"
        texts.certificate = TRY(read_file(stem + ".cert"));
        texts.key = TRY(read_file(stem + ".key").context("the client certificate '" + stem + ".cert' needs its key"));
    }
    return {};
}

Result<CertificateTexts> read_certificates(const std::string& host, const std::vector<std::string>& folders) {
    CertificateTexts texts;
    for (const auto& base : folders)
        TRY_VOID(add_certificates(texts, base + "/" + host));
    return texts;
}

} // namespace ctrd::registry

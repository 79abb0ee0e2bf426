#include "ctrd/registry/tls.hpp"

#include "ctrd/base/file.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace ctrd::registry {
namespace {

constexpr std::size_t most_files = 64;

struct FreeBio {
    void operator()(BIO* bio) const noexcept { ::BIO_free(bio); }
};
struct FreeX509 {
    void operator()(X509* certificate) const noexcept { ::X509_free(certificate); }
};

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

Result<void> add_authorities(X509_STORE* store, const std::string& path) {
    const std::string text = TRY(read_file(path));
    const std::unique_ptr<BIO, FreeBio> bio{::BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
    std::size_t count = 0;
    for (; bio; ++count) {
        const std::unique_ptr<X509, FreeX509> certificate{::PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)};
        if (!certificate)
            break;
        ::X509_STORE_add_cert(store, certificate.get());
    }
    ::ERR_clear_error();
    if (count == 0)
        return fail(bad_input("'" + path + "' holds no certificate in PEM form"));
    return {};
}

Result<void> read_pair(TlsFiles& files, const std::string& folder, const std::string& name) {
    const std::string stem = folder + "/" + name.substr(0, name.size() - 5); // ".cert"
    files.certificate = TRY(read_file(stem + ".cert"));
    files.key = TRY(read_file(stem + ".key").context("the client certificate '" + stem + ".cert' needs its key"));
    return {};
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

Result<TlsFiles> load_tls_files(const std::string& host, const std::vector<std::string>& folders) {
    TlsFiles files;
    files.authorities = {::X509_STORE_new(), ::X509_STORE_free};
    if (!files.authorities || ::X509_STORE_set_default_paths(files.authorities.get()) != 1)
        return fail(Error{std::errc::io_error, "cannot use the system's certificate authorities", ""});
    // What the administrator names is trusted as it is, also where it is no self-signed root.
    ::X509_STORE_set_flags(files.authorities.get(), X509_V_FLAG_PARTIAL_CHAIN);
    for (const auto& base : folders) {
        const std::string folder = base + "/" + host;
        for (const auto& name : names_in(folder, ".crt"))
            TRY_VOID(add_authorities(files.authorities.get(), folder + "/" + name));
        for (const auto& name : names_in(folder, ".cert"))
            if (files.certificate.empty())
                TRY_VOID(read_pair(files, folder, name));
    }
    return files;
}

} // namespace ctrd::registry

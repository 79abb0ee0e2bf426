#include "ctrd/registry/credential_helper.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/image/json.hpp"
#include "ctrd/registry/helper_process.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

namespace ctrd::registry {
namespace {

using image::Json;
constexpr std::string_view token_user = "<token>";

/// Nobody else could have put it there or can change it.
bool is_trustworthy(const std::string& path) {
    struct stat st {};
    return ::stat(path.c_str(), &st) == 0 && S_ISREG(st.st_mode) && (st.st_uid == 0 || st.st_uid == ::geteuid()) &&
           (st.st_mode & (S_IWGRP | S_IWOTH)) == 0 && ::access(path.c_str(), X_OK) == 0;
}

Result<std::string> find_program(const std::string& name, const HelperSettings& settings) {
    if (!is_helper_name(name))
        return fail(bad_input("'" + printable(name.substr(0, 100)) + "' is not the name of a credential helper"));
    for (const auto& folder : settings.folders)
        if (const std::string path = folder + "/docker-credential-" + name; is_trustworthy(path))
            return path;
    return fail(Error{std::errc::no_such_file_or_directory,
                      "there is no credential helper 'docker-credential-" + name + "'",
                      "it must be in " + settings.folders.front() + " or " + settings.folders.back() +
                          ", and only root may be able to write to it"});
}

Result<Ran> run(const std::string& name, const char* action, std::string_view input, const HelperSettings& settings) {
    const std::string program = TRY(find_program(name, settings));
    return run_program(program, {action}, input, settings.timeout);
}

Error refused(const std::string& name, const Ran& ran) {
    return bad_input("docker-credential-" + name + " ended with status " + std::to_string(ran.status) + ": " +
                     printable(ran.output.substr(0, 200)));
}

} // namespace

bool is_helper_name(std::string_view name) noexcept {
    const auto letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    return !name.empty() && name.size() <= 64 && letter(name.front()) &&
           std::ranges::all_of(name, [&](char c) { return letter(c) || c == '.' || c == '_' || c == '-'; });
}

Result<std::optional<Credentials>> ask_helper(const std::string& name, const std::string& key,
                                              const HelperSettings& settings) {
    const Ran ran = TRY(run(name, "get", key + "\n", settings));
    if (ran.status != 0) {
        if (ran.output.find("credentials not found") != std::string::npos)
            return std::optional<Credentials>{};
        return fail(refused(name, ran));
    }
    const Json document = TRY(image::parse_json(ran.output, 64U << 10).context("docker-credential-" + name));
    const oci::Reader in = TRY(oci::Reader::root(document));
    const std::string user = TRY(in.required_string("Username").context("docker-credential-" + name));
    const std::string secret = TRY(in.required_string("Secret").context("docker-credential-" + name));
    return std::optional{user == token_user ? Credentials{"", "", secret} : Credentials{user, secret, ""}};
}

Result<void> store_with_helper(const std::string& name, const std::string& key, const Credentials& credentials,
                               const HelperSettings& settings) {
    const bool is_token = !credentials.identity_token.empty();
    const Json document{{"ServerURL", key},
                        {"Username", is_token ? std::string{token_user} : credentials.username},
                        {"Secret", is_token ? credentials.identity_token : credentials.password}};
    const std::string text = document.dump(-1, ' ', false, Json::error_handler_t::replace);
    const Ran ran = TRY(run(name, "store", text, settings));
    return ran.status == 0 ? Result<void>{} : fail(refused(name, ran));
}

Result<void> erase_with_helper(const std::string& name, const std::string& key, const HelperSettings& settings) {
    const Ran ran = TRY(run(name, "erase", key + "\n", settings));
    const bool was_absent = ran.output.find("credentials not found") != std::string::npos;
    return ran.status == 0 || was_absent ? Result<void>{} : fail(refused(name, ran));
}

} // namespace ctrd::registry

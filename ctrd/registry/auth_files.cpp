#include "ctrd/registry/auth_files.hpp"

#include "ctrd/base/file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace ctrd::registry {
namespace {

constexpr const char* own_file = "/etc/ctrd/auth.json";

/// An environment variable that is an absolute path, or "".
std::string path_variable(const char* name) {
    const char* value = std::getenv(name);
    return value != nullptr && *value == '/' ? value : "";
}

/// $VARIABLE/rest, or else $HOME/fallback/rest.
std::string below(const char* variable, const char* fallback, const std::string& rest) {
    if (const std::string folder = path_variable(variable); !folder.empty())
        return folder + rest;
    const std::string home = path_variable("HOME");
    return home.empty() ? "" : home + fallback + rest;
}

std::string runtime_file() {
    const std::string folder = path_variable("XDG_RUNTIME_DIR");
    return (folder.empty() ? "/run/containers/" + std::to_string(::geteuid()) : folder + "/containers") + "/auth.json";
}

Result<std::string> read_if_there(const std::string& file) {
    auto text = read_file(file);
    if (!text &&
        (text.error().code == std::errc::no_such_file_or_directory || text.error().code == std::errc::not_a_directory))
        return std::string{};
    return text;
}

/// A lock on the file's folder: a lock file would have to be left behind.
Result<UniqueFd> lock_folder_of(const std::string& file) {
    const std::string folder = file.substr(0, file.rfind('/'));
    if (::access(folder.c_str(), F_OK) != 0)
        TRY_VOID(make_dirs(folder, 0700));
    UniqueFd dir = TRY(open_at(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY));
    while (::flock(dir.get(), LOCK_EX) < 0)
        if (errno != EINTR)
            return fail(os_error(errno, "cannot lock '" + folder + "'"));
    return dir;
}

} // namespace

std::vector<std::string> auth_files() {
    if (const char* named = std::getenv("REGISTRY_AUTH_FILE"); named != nullptr && *named != '\0')
        return {named};
    std::vector<std::string> files;
    if (::geteuid() == 0)
        files.emplace_back(own_file);
    files.push_back(runtime_file());
    for (auto& file : {below("XDG_CONFIG_HOME", "/.config", "/containers/auth.json"),
                       below("DOCKER_CONFIG", "/.docker", "/config.json")})
        if (!file.empty())
            files.push_back(file);
    return files;
}

std::string auth_file_to_write() { return auth_files().front(); }

Result<std::optional<Credentials>> find_credentials(const std::vector<std::string>& files, const Reference& reference,
                                                    const HelperSettings& settings) {
    for (const auto& file : files) {
        const std::string text = TRY(read_if_there(file));
        auto answer = TRY(find_in_auth_json(text, reference).context("'" + file + "'"));
        if (!answer.helper.empty())
            answer.credentials = TRY(ask_helper(answer.helper, answer.helper_key, settings).context("'" + file + "'"));
        if (answer.credentials)
            return answer.credentials;
    }
    return std::optional<Credentials>{};
}

Result<void> change_auth_file(const std::string& file, const std::string& key,
                              const std::optional<Credentials>& credentials) {
    if (!file.starts_with('/'))
        return fail(bad_input("'" + file + "' is not an absolute path"));
    const UniqueFd lock = TRY(lock_folder_of(file));
    const std::string text = TRY(read_if_there(file));
    const std::string changed = TRY(changed_auth_json(text, key, credentials).context("'" + file + "'"));
    return write_atomic(file, changed, 0600);
}

Result<bool> forget_credentials(const std::string& file, const std::string& key, const HelperSettings& settings) {
    const std::string text = TRY(read_if_there(file));
    const bool was_there = TRY(has_auth(text, key).context("'" + file + "'"));
    if (was_there)
        TRY_VOID(change_auth_file(file, key, std::nullopt));
    const Reference asked{key.substr(0, key.find('/')),
                          key.find('/') == std::string::npos ? "" : key.substr(key.find('/') + 1)};
    const auto answer = TRY(find_in_auth_json(text, asked).context("'" + file + "'"));
    if (answer.helper.empty())
        return was_there;
    const bool helper_had = TRY(ask_helper(answer.helper, key, settings)).has_value();
    if (helper_had)
        TRY_VOID(erase_with_helper(answer.helper, key, settings));
    return was_there || helper_had;
}

} // namespace ctrd::registry

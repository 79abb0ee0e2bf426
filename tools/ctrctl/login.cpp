// login and logout. The password comes from the terminal or from stdin, and goes to ctr-fetch by a descriptor: it is in
// no argument and no environment.
#include "ctrd/base/file.hpp"
#include "ctrd/registry/auth_files.hpp"
#include "tools/ctrctl/image_bring.hpp"
#include "tools/ctrctl/image_pull.hpp"
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/output.hpp"
#include "tools/ctrctl/registry_job.hpp"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <filesystem>

namespace ctrd::ctl {
namespace {

constexpr std::size_t longest_secret = 64U << 10;

/// Writes `question` on the terminal and takes a line; without showing it where it is secret.
Result<std::string> ask(const std::string& question, bool secret) {
    const UniqueFd terminal{::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)};
    if (!terminal)
        return fail(bad_input("there is no terminal to ask on", "give -u USER and --password-stdin"));
    termios before{};
    const bool silent = secret && ::tcgetattr(terminal.get(), &before) == 0;
    if (silent) {
        termios quiet = before;
        quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        ::tcsetattr(terminal.get(), TCSAFLUSH, &quiet);
    }
    std::string line;
    auto asked = write_all(terminal.get(), question);
    for (char c = 0; asked && line.size() < longest_secret && ::read(terminal.get(), &c, 1) == 1 && c != '\n';)
        line += c;
    if (silent) {
        ::tcsetattr(terminal.get(), TCSAFLUSH, &before);
        asked = write_all(terminal.get(), "\n");
    }
    TRY_VOID(std::move(asked));
    return line;
}

Result<std::string> password_of(const LoginOptions& options) {
    if (!options.password_stdin)
        return ask("Password: ", true);
    std::string text = TRY(read_all(STDIN_FILENO, longest_secret).context("the password on stdin"));
    while (text.ends_with('\n') || text.ends_with('\r'))
        text.pop_back();
    return text;
}

Result<registry::Credentials> credentials_of(const LoginOptions& options) {
    if (options.user.empty() && options.password_stdin)
        return fail(bad_input("--password-stdin needs a user name", "ctrctl login -u USER --password-stdin REGISTRY"));
    registry::Credentials credentials{options.user.empty() ? TRY(ask("User name: ", false)) : options.user,
                                      TRY(password_of(options))};
    if (credentials.username.empty() || credentials.password.empty())
        return fail(bad_input("a user name and a password are needed"));
    if (credentials.username.find(':') != std::string::npos)
        return fail(bad_input("a user name can't have a ':' in it"));
    return credentials;
}

std::string file_of(const LoginOptions& options) {
    return options.auth_file.empty() ? registry::auth_file_to_write()
                                     : std::filesystem::absolute(options.auth_file).string();
}

/// Into the helper that the file names for this registry, or into the file.
Result<std::string> keep(const std::string& file, const std::string& key, const registry::Credentials& credentials) {
    auto text = read_file(file);
    if (!text && text.error().code != std::errc::no_such_file_or_directory)
        return fail(std::move(text).error());
    const auto answer = TRY(registry::find_in_auth_json(text.value_or(""), {key}).context("'" + file + "'"));
    if (!answer.helper.empty()) {
        TRY_VOID(registry::store_with_helper(answer.helper, key, credentials));
        return "docker-credential-" + answer.helper;
    }
    TRY_VOID(registry::change_auth_file(file, key, credentials));
    return file;
}

int log_in(const LoginOptions& options) {
    if (::geteuid() != 0)
        return report(exit_denied,
                      {std::errc::operation_not_permitted, "images are root's: permission denied", "run it as root"});
    const auto credentials = credentials_of(options);
    if (!credentials)
        return report(exit_bad_input, credentials.error());
    auto settings = registry::gather_settings(
        {options.registry, "a"}, {options.auth_file, options.certificate_folder, tls_wish(options.tls_verify)}, true);
    if (!settings)
        return report(exit_failure, settings.error());
    settings->credentials = {{options.registry, *credentials}};
    auto tried = run_registry_job({{"verb", "login"}}, *settings, {}, {});
    if (!tried)
        return report_brought(std::move(tried).context("'" + options.registry + "'").error());
    const auto kept = keep(file_of(options), options.registry, *credentials);
    if (!kept)
        return report(exit_failure, kept.error());
    return print("logged in to " + options.registry + "; the password is in " + *kept + "\n");
}

int log_out(const LoginOptions& options) {
    const std::string file = file_of(options);
    const auto forgotten = registry::forget_credentials(file, options.registry);
    if (!forgotten)
        return report(exit_failure, forgotten.error());
    // Files of other programs, which are not changed, may have one too: then the next pull still has a password.
    for (const std::string& other : options.auth_file.empty() ? registry::auth_files() : std::vector<std::string>{})
        if (const auto left = registry::find_credentials({other}, {options.registry}); left && *left)
            return report(exit_failure, bad_input("'" + other + "' still has a password for '" + options.registry + "'",
                                                  "ctrctl logout --authfile " + other + " " + options.registry));
    if (!*forgotten)
        return report(exit_no_container, {std::errc::no_such_file_or_directory,
                                          "nobody is logged in to '" + options.registry + "' ('" + file + "')", ""});
    return print("logged out of " + options.registry + "\n");
}

} // namespace

int log_in_or_out(const LoginOptions& options) {
    if (!image::is_registry(options.registry))
        return report(exit_bad_input, bad_input("'" + printable(options.registry) + "' is no registry",
                                                "write HOST or HOST:PORT, without 'https://'"));
    return options.verb == "login" ? log_in(options) : log_out(options);
}

} // namespace ctrd::ctl

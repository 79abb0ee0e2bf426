#include "tools/ctr-oci/log.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/runtime/capability_grants.hpp"

#include <nlohmann/json.hpp>

#include <fcntl.h>

#include <cstdio>
#include <ctime>

namespace ctrd::ctr_oci {
namespace {

bool append(const Options& options, const char* level, const std::string& text) {
    if (options.log.empty())
        return false;
    const auto fd = open_at(AT_FDCWD, options.log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
    if (!fd)
        return false;
    std::string line = text;
    if (options.log_json) {
        char when[32];
        const std::time_t now = std::time(nullptr);
        std::strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
        line = nlohmann::json{{"level", level}, {"msg", text}, {"time", when}}.dump(
            -1, ' ', false, nlohmann::json::error_handler_t::replace);
    }
    return write_all(fd->get(), line + "\n").has_value();
}

} // namespace

void log_error(const Options& options, const Error& error) {
    const std::string text = to_text({error.code, printable(error.message), printable(error.hint)});
    append(options, "error", text);
    std::fprintf(stderr, "ctr-oci: %s\n", text.c_str());
}

void log_warning(const Options& options, const std::string& raw) {
    const std::string text = printable(raw);
    if (options.log_level != LogLevel::error && !append(options, "warning", text))
        std::fprintf(stderr, "ctr-oci: warning: %s\n", text.c_str());
}

void warn_of_ignored(const Options& options, const oci::Resources& resources) {
    for (const std::string& property : resources.ignored)
        log_warning(options, property + " is ignored: cgroup v2 has nothing like it");
}

void warn_of_capabilities(const Options& options, const oci::Process& process, bool in_user_namespace) {
    for (const std::string& sentence : runtime::capabilities_not_granted(process, in_user_namespace))
        log_warning(options, sentence);
}

} // namespace ctrd::ctr_oci

// ctr-oci: an OCI runtime with runc's command line. Only wires: options to commands, errors to words.
#include "ctrd/base/file.hpp"
#include "ctrd/base/sealed_self.hpp"
#include "tools/ctr-oci/commands.hpp"

#include <nlohmann/json.hpp>

#include <fcntl.h>

#include <array>
#include <cstdio>
#include <ctime>

namespace {

using namespace ctrd;
using ctr_oci::Options;

struct Entry {
    std::string_view name;
    Result<int> (*run)(const Options&);
    bool enters_container; // and must not lend its binary to it
};
constexpr std::array commands{
    Entry{"run", ctr_oci::run, true},      Entry{"create", ctr_oci::create, true},
    Entry{"start", ctr_oci::start, false}, Entry{"state", ctr_oci::state, false},
    Entry{"kill", ctr_oci::kill, false},   Entry{"delete", ctr_oci::remove, false},
    Entry{"list", ctr_oci::list, false},   Entry{"spec", ctr_oci::write_spec, false},
};

/// What conmon and containerd's shim read when a command has failed.
void append_to_log(const Options& options, const Error& error) {
    if (options.log.empty())
        return;
    const auto fd = open_at(AT_FDCWD, options.log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
    if (!fd)
        return; // the error itself still goes to stderr
    std::string line = to_text(error);
    if (options.log_json) {
        char when[32];
        const std::time_t now = std::time(nullptr);
        std::strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
        line = nlohmann::json{{"level", "error"}, {"msg", line}, {"time", when}}.dump(
            -1, ' ', false, nlohmann::json::error_handler_t::replace);
    }
    [[maybe_unused]] auto written = write_all(fd->get(), line + "\n");
}

int report(const Options& options, const Error& error) {
    append_to_log(options, error);
    std::fprintf(stderr, "ctr-oci: %s\n", to_text(error).c_str());
    return 1;
}

} // namespace

int main(int argc, char** argv) {
    auto options = ctr_oci::parse_options(argc, argv);
    if (!options)
        return report({}, options.error());
    if (options->command == "help") {
        const bool general = options->arguments.empty() || options->arguments.front().empty();
        std::fputs((general ? ctr_oci::help_text() : ctr_oci::help_text(options->arguments.front())).c_str(), stdout);
        return 0;
    }
    if (options->command == "version") {
        std::puts("ctr-oci version " CTRD_VERSION "\nspec: 1.3.0");
        return 0;
    }
    for (const Entry& entry : commands) {
        if (entry.name != options->command)
            continue;
        if (entry.enters_container)
            if (auto sealed = run_from_sealed_binary(argv); !sealed)
                return report(*options, sealed.error());
        auto status = entry.run(*options);
        return status ? *status : report(*options, status.error());
    }
    return report(*options, bad_input("unknown command '" + options->command + "'"));
}

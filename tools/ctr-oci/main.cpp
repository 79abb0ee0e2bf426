// ctr-oci: an OCI runtime with runc's command line. Only wires: options to commands, errors to words.
#include "ctrd/base/sealed_self.hpp"
#include "tools/ctr-oci/commands.hpp"
#include "tools/ctr-oci/environment.hpp"
#include "tools/ctr-oci/log.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace {

using namespace ctrd;
using ctr_oci::Options;

struct Entry {
    std::string_view name;
    Result<int> (*run)(const Options&);
    bool enters_container; // and must not lend its binary to it
};
constexpr std::array commands{
    Entry{"run", ctr_oci::run, true},
    Entry{"create", ctr_oci::create, true},
    Entry{"start", ctr_oci::start, false},
    Entry{"exec", ctr_oci::exec, true},
    Entry{"state", ctr_oci::state, false},
    Entry{"kill", ctr_oci::kill, false},
    Entry{"delete", ctr_oci::remove, false},
    Entry{"list", ctr_oci::list, false},
    Entry{"ps", ctr_oci::ps, false},
    Entry{"pause", ctr_oci::pause, false},
    Entry{"resume", ctr_oci::resume, false},
    Entry{"update", ctr_oci::update, false},
    Entry{"events", ctr_oci::events, false},
    Entry{"features", ctr_oci::features, false},
    Entry{"checkpoint", ctr_oci::checkpoint, false},
    Entry{"restore", ctr_oci::restore, false},
    Entry{"spec", ctr_oci::write_spec, false},
};

/// `exec` answers as runc's does where it is not the program's status that it could pass on.
int report(const Options& options, const Error& error) {
    ctr_oci::log_error(options, error);
    return options.command == "exec" ? 255 : 1;
}

/// Before anything else is opened.
Result<void> prepare_to_enter(Options& options, char** argv) {
    TRY_VOID(run_from_sealed_binary(argv));
    const bool is_exec = options.command == "exec";
    options.pass_fds = ctr_oci::open_descriptors(options.preserve_fds + (is_exec ? 0 : ctr_oci::listen_fds()));
    if (const auto missing = std::ranges::count(options.pass_fds, -1); missing > 0)
        ctr_oci::log_warning(options, std::to_string(missing) + " of the " + std::to_string(options.pass_fds.size()) +
                                          " descriptors from 3 that --preserve-fds and $LISTEN_FDS count are not open"
                                          " and are not passed on");
    return {};
}

} // namespace

int main(int argc, char** argv) {
    Options options;
    if (auto parsed = ctr_oci::parse_options(argc, argv, options); !parsed) {
        ctr_oci::log_error(options, parsed.error());
        return 1;
    }
    if (options.command == "help") {
        const bool general = options.arguments.empty() || options.arguments.front().empty();
        std::fputs((general ? ctr_oci::help_text() : ctr_oci::help_text(options.arguments.front())).c_str(), stdout);
        return 0;
    }
    if (options.command == "version") {
        std::puts("ctr-oci version " CTRD_VERSION "\nspec: 1.3.0");
        return 0;
    }
    for (const Entry& entry : commands) {
        if (entry.name != options.command)
            continue;
        if (entry.enters_container)
            if (auto ready = prepare_to_enter(options, argv); !ready)
                return report(options, ready.error());
        auto status = entry.run(options);
        return status ? *status : report(options, status.error());
    }
    return report(options, bad_input("unknown command '" + options.command + "'"));
}

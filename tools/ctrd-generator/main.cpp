// ctrd-generator: systemd runs it at boot and at every daemon-reload, before any unit is loaded; systemd.generator(7).
#include "config/config.hpp"
#include "config/machine_units.hpp"
#include "ctrd/base/fd.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <string>
#include <vector>

namespace {

using namespace ctrd;

constexpr const char* usage = R"(usage: ctrd-generator [--root DIR] NORMAL-DIR [EARLY-DIR LATE-DIR]
       ctrd-generator --compile NAME

Makes systemd units of the containers declared in /etc/ctrd/containers, /run/ctrd/containers and
/usr/lib/ctrd/containers, and their OCI configs in /run/ctrd/compiled. systemd runs it.

  --root DIR      look for the declarations, and write the configs, below DIR
  --compile NAME  only make the config of one container (its unit does so when its files came after the generator)
  --help          this text
)";

struct Options {
    std::string root{};
    std::string compile{};
    std::vector<std::string> folders{};
    bool help{false};
};

bool parse_options(int argc, char** argv, Options& options) {
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        if (word == "--help") {
            options.help = true;
        } else if (word == "--root" || word == "--compile") {
            if (++i == argc)
                return false;
            (word == "--root" ? options.root : options.compile) = argv[i];
        } else if (word.starts_with('-')) {
            return false;
        } else {
            options.folders.push_back(word);
        }
    }
    const auto count = options.folders.size();
    return options.help || (options.compile.empty() ? count == 1 || count == 3 : count == 0);
}

/// Under systemd stderr leads nowhere. The kernel's log is there from the first moment on, and the journal reads it;
/// where there is none, as in a container, the journal's own socket may be.
class Log {
public:
    Log() {
        const char* pid = std::getenv("SYSTEMD_EXEC_PID");
        if (pid == nullptr || pid != std::to_string(::getpid()))
            return;
        sink_ = UniqueFd{::open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NOCTTY)};
        if (!sink_)
            connect_to_journal();
    }

    void lines(const std::string& text) const {
        for (std::size_t begin = 0; begin < text.size();) {
            const auto end = std::min(text.find('\n', begin), text.size());
            line(text.substr(begin, end - begin));
            begin = end + 1;
        }
    }

private:
    void line(const std::string& text) const {
        const auto record = fmt::format("<{}>ctrd-generator[{}]: {}", LOG_DAEMON | LOG_ERR, ::getpid(), text);
        if (!sink_ || ::write(sink_.get(), record.data(), record.size()) < 0)
            std::fprintf(stderr, "<3>ctrd-generator: %s\n", text.c_str());
    }

    /// Never waiting: PID 1 waits for us, and the journal may wait for PID 1.
    void connect_to_journal() {
        UniqueFd fd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/dev-log"};
        if (fd && ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
            sink_ = std::move(fd);
    }

    UniqueFd sink_;
};

} // namespace

int main(int argc, char** argv) {
    Options options;
    if (!parse_options(argc, argv, options)) {
        std::fputs(usage, stderr);
        return 2;
    }
    if (options.help) {
        std::fputs(usage, stdout);
        return 0;
    }
    const auto dirs = config::SearchDirs::system(options.root);
    config::OutputDirs out;
    out.compiled = options.root + out.compiled;
    out.store = options.root + out.store;
    config::Diagnostics problems;
    if (!options.compile.empty()) {
        if (auto compiled = config::compile_deferred(options.compile, dirs, out); !compiled)
            problems = std::move(compiled.error());
        // A unit's own output goes to the journal.
        if (!problems.empty())
            std::fprintf(stderr, "%s\n", config::to_text(problems).c_str());
    } else {
        out.units = options.folders.front();
        problems = config::generate(dirs, out);
        std::ranges::move(config::generate_machine_units(config::list_names(dirs).names, out.units, options.root),
                          std::back_inserter(problems));
        Log{}.lines(config::to_text(problems));
    }
    return problems.empty() ? 0 : 1;
}

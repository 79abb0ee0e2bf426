#include "tools/ctr-oci/options.hpp"

#include "ctrd/base/names.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

namespace ctrd::ctr_oci {
namespace {

/// One option: a flag, or with a value. `apply` gets the value ("" for a flag).
struct Option {
    std::string_view name;
    std::string_view shorthand;
    std::string_view value_name; // empty: a flag
    std::string_view help;
    Result<void> (*apply)(Options&, const std::string&);
};

Result<void> set_log_format(Options& o, const std::string& v) {
    if (v != "text" && v != "json")
        return fail(bad_input("--log-format is text or json, not '" + v + "'"));
    o.log_json = v == "json";
    return {};
}

Result<void> set_format(Options& o, const std::string& v) {
    if (v != "table" && v != "json")
        return fail(bad_input("--format is table or json, not '" + v + "'"));
    o.json = v == "json";
    return {};
}

Result<void> set_preserve_fds(Options& o, const std::string& v) {
    const auto [end, err] = std::from_chars(v.data(), v.data() + v.size(), o.preserve_fds);
    if (err != std::errc{} || end != v.data() + v.size() || o.preserve_fds > 1024)
        return fail(bad_input("--preserve-fds takes a number up to 1024, not '" + v + "'"));
    return {};
}

using Set = Result<void>;
const std::array global_options{
    Option{"root", "", "DIR", "where the containers' records are kept",
           [](Options& o, const std::string& v) -> Set {
               o.root = v;
               return {};
           }},
    Option{"log", "", "FILE", "append errors to FILE too",
           [](Options& o, const std::string& v) -> Set {
               o.log = v;
               return {};
           }},
    Option{"log-format", "", "FORMAT", "text (default) or json, for --log", set_log_format},
    Option{"debug", "", "", "print the plan of a start before it is applied",
           [](Options& o, const std::string&) -> Set {
               o.debug = true;
               return {};
           }},
    Option{"systemd-cgroup", "", "", "let systemd make the cgroup, as a scope; cgroupsPath is slice:prefix:name",
           [](Options& o, const std::string&) -> Set {
               o.systemd_cgroup = true;
               return {};
           }},
};

constexpr auto bundle = [](Options& o, const std::string& v) -> Set {
    o.bundle = v;
    return {};
};
constexpr auto console_socket = [](Options& o, const std::string& v) -> Set {
    o.console_socket = v;
    return {};
};
constexpr auto pid_file = [](Options& o, const std::string& v) -> Set {
    o.pid_file = v;
    return {};
};
constexpr auto no_new_keyring = [](Options& o, const std::string&) -> Set {
    o.new_keyring = false;
    return {};
};

const std::array create_options{
    Option{"bundle", "b", "DIR", "the bundle's folder (default: the current one)", bundle},
    Option{"console-socket", "", "SOCKET", "unix socket that gets the terminal's master", console_socket},
    Option{"pid-file", "", "FILE", "write the container's pid there", pid_file},
    Option{"preserve-fds", "", "N", "pass N more descriptors on, from 3", set_preserve_fds},
    Option{"no-new-keyring", "", "", "keep the caller's session keyring", no_new_keyring},
};
const std::array run_options{
    create_options[0],
    create_options[1],
    create_options[2],
    create_options[3],
    create_options[4],
    Option{"detach", "d", "", "return as soon as the payload runs",
           [](Options& o, const std::string&) -> Set {
               o.detach = true;
               return {};
           }},
    Option{"keep", "", "", "don't delete the container when its payload ends",
           [](Options& o, const std::string&) -> Set {
               o.keep = true;
               return {};
           }},
};
const std::array kill_options{
    Option{"all", "a", "", "every process of the container",
           [](Options& o, const std::string&) -> Set {
               o.all = true;
               return {};
           }},
};
const std::array delete_options{
    Option{"force", "f", "", "kill it first if it runs",
           [](Options& o, const std::string&) -> Set {
               o.force = true;
               return {};
           }},
};
const std::array list_options{
    Option{"format", "f", "FORMAT", "table (default) or json", set_format},
    Option{"quiet", "q", "", "ids only",
           [](Options& o, const std::string&) -> Set {
               o.quiet = true;
               return {};
           }},
};
const std::array spec_options{
    Option{"bundle", "b", "DIR", "where config.json goes (default: the current folder)", bundle},
};

struct Command {
    std::string_view name;
    std::string_view arguments;
    std::string_view help;
    std::span<const Option> options;
    std::size_t least;
    std::size_t most;
};
const std::array commands{
    Command{"run", "ID", "create and start a container, wait for its end", run_options, 1, 1},
    Command{"create", "ID", "set a container up and stop before its payload", create_options, 1, 1},
    Command{"start", "ID", "run the payload of a created container", {}, 1, 1},
    Command{"state", "ID", "print a container's state as JSON", {}, 1, 1},
    Command{"kill", "ID [SIGNAL]", "send a signal (default SIGTERM)", kill_options, 1, 2},
    Command{"delete", "ID...", "remove what is left of a stopped container", delete_options, 1, 1000},
    Command{"list", "", "list containers", list_options, 0, 0},
    Command{"spec", "", "write a config.json to start from", spec_options, 0, 0},
};

template <class Range> std::vector<std::string_view> names_of(const Range& range) {
    std::vector<std::string_view> names;
    for (const auto& item : range)
        names.push_back(item.name);
    return names;
}

Error unknown(std::string_view what, std::string_view name, const std::vector<std::string_view>& known) {
    const auto near = nearest(name, known);
    return bad_input("unknown " + std::string{what} + " '" + std::string{name} + "'",
                     near.empty() ? "see ctr-oci --help" : "did you mean '" + std::string{near} + "'?");
}

class Parser {
public:
    Parser(int argc, char** argv) : rest_{argv + 1, argv + argc} {}

    Result<Options> parse() {
        TRY_VOID(take_options(global_options));
        if (!options_.command.empty()) // --help or --version
            return std::move(options_);
        if (rest_.empty())
            return fail(bad_input("a command is missing", "see ctr-oci --help"));
        options_.command = take();
        if (options_.command == "help" || options_.command == "version")
            return std::move(options_);
        const auto command = std::ranges::find(commands, std::string_view{options_.command}, &Command::name);
        if (command == commands.end())
            return fail(unknown("command", options_.command, names_of(commands)));
        TRY_VOID(take_options(command->options));
        if (options_.command == "help")
            return std::move(options_);
        if (options_.arguments.size() < command->least || options_.arguments.size() > command->most)
            return fail(
                bad_input("usage: ctr-oci " + options_.command + " [OPTION]... " + std::string{command->arguments},
                          "see ctr-oci " + options_.command + " --help"));
        return std::move(options_);
    }

private:
    std::string take() {
        std::string word = rest_.front();
        rest_ = rest_.subspan(1);
        return word;
    }

    /// Global options end at the command; a command's own may stand among its arguments.
    Result<void> take_options(std::span<const Option> known) {
        const bool global = options_.command.empty();
        while (!rest_.empty()) {
            const std::string word = rest_.front();
            if (word.size() < 2 || word.front() != '-') {
                if (global)
                    return {};
                options_.arguments.push_back(take());
                continue;
            }
            take();
            if (word == "--") {
                while (!rest_.empty())
                    options_.arguments.push_back(take());
                return {};
            }
            if (word == "--help" || word == "-h") {
                options_.arguments = {options_.command};
                options_.command = "help";
                rest_ = {};
                return {};
            }
            if (global && (word == "--version" || word == "-v")) {
                options_.command = "version";
                rest_ = {};
                return {};
            }
            TRY_VOID(take_option(word, known));
        }
        return {};
    }

    Result<void> take_option(const std::string& word, std::span<const Option> known) {
        const bool is_long = word.starts_with("--");
        std::string name = word.substr(is_long ? 2 : 1);
        std::optional<std::string> value;
        if (const auto equals = name.find('='); equals != std::string::npos) {
            value = name.substr(equals + 1);
            name.resize(equals);
        }
        // runc's parser takes "-root" for "--root" as well, and its callers rely on it.
        const auto option = std::ranges::find_if(
            known, [&](const Option& o) { return o.name == name || (!o.shorthand.empty() && o.shorthand == name); });
        if (option == known.end())
            return fail(unknown("option", name, names_of(known)));
        if (option->value_name.empty()) {
            if (value && *value != "true")
                return fail(bad_input("option '" + name + "' takes no value"));
            return option->apply(options_, "");
        }
        if (!value) {
            if (rest_.empty())
                return fail(bad_input("option '" + name + "' needs a value"));
            value = take();
        }
        return option->apply(options_, *value);
    }

    std::span<char*> rest_;
    Options options_{};
};

std::string list_options_text(std::span<const Option> options) {
    std::string text;
    for (const Option& option : options) {
        std::string line = "  ";
        line += option.shorthand.empty() ? "    " : "-" + std::string{option.shorthand} + ", ";
        line += "--" + std::string{option.name};
        if (!option.value_name.empty())
            line += "=" + std::string{option.value_name};
        line.resize(std::max<std::size_t>(line.size() + 2, 32), ' ');
        text += line + std::string{option.help} + "\n";
    }
    return text;
}

} // namespace

Result<Options> parse_options(int argc, char** argv) { return Parser{argc, argv}.parse(); }

std::string help_text() {
    std::string text = "ctr-oci [OPTION]... COMMAND ...\n\nRun containers from OCI bundles.\n\nCommands:\n";
    for (const Command& command : commands) {
        std::string line = "  " + std::string{command.name} + " " + std::string{command.arguments};
        line.resize(std::max<std::size_t>(line.size() + 2, 24), ' ');
        text += line + std::string{command.help} + "\n";
    }
    text += "\nOptions:\n" + list_options_text(global_options) +
            "  -h, --help                    show this, or a command's own help\n"
            "  -v, --version                 show the version\n\n"
            "Exit status: 0 on success, 1 on any error; of 'run' without --detach the payload's own,\n"
            "128 + N when signal N ended it.\n";
    return text;
}

std::string help_text(const std::string& name) {
    const auto command = std::ranges::find(commands, std::string_view{name}, &Command::name);
    if (command == commands.end())
        return help_text();
    return "ctr-oci " + name + " [OPTION]... " + std::string{command->arguments} + "\n\n" + std::string{command->help} +
           "\n" + (command->options.empty() ? "" : "\nOptions:\n" + list_options_text(command->options));
}

} // namespace ctrd::ctr_oci

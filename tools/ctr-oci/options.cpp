#include "tools/ctr-oci/options.hpp"

#include "ctrd/base/names.hpp"
#include "tools/ctr-oci/option_tables.hpp"

#include <algorithm>
#include <cstdlib>

namespace ctrd::ctr_oci {
namespace {

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
    Parser(int argc, char** argv, Options& options) : rest_{argv + 1, argv + argc}, options_{options} {}

    Result<void> parse() {
        TRY_VOID(take_options(global_options(), false));
        if (!options_.command.empty()) // --help or --version
            return {};
        if (rest_.empty())
            return fail(bad_input("a command is missing", "see ctr-oci --help"));
        options_.command = take();
        if (options_.command == "help" || options_.command == "version") {
            take_arguments();
            return {};
        }
        const auto command = std::ranges::find(commands(), std::string_view{options_.command}, &Command::name);
        if (command == commands().end())
            return fail(unknown("command", options_.command, names_of(commands())));
        TRY_VOID(take_options(command->options, command->options_end_at_first));
        if (options_.command == "help")
            return {};
        if (options_.arguments.size() < command->least || options_.arguments.size() > command->most)
            return fail(
                bad_input("usage: ctr-oci " + options_.command + " [OPTION]... " + std::string{command->arguments},
                          "see ctr-oci " + options_.command + " --help"));
        return {};
    }

private:
    std::string take() {
        std::string word = rest_.front();
        rest_ = rest_.subspan(1);
        return word;
    }

    void take_arguments() {
        while (!rest_.empty())
            options_.arguments.push_back(take());
    }

    /// Global options end at the command; most commands' own may stand among its arguments.
    Result<void> take_options(std::span<const Option> known, bool end_at_first) {
        const bool global = options_.command.empty();
        while (!rest_.empty()) {
            const std::string word = rest_.front();
            if (word.size() < 2 || word.front() != '-') {
                if (global)
                    return {};
                if (end_at_first) {
                    take_arguments();
                    return {};
                }
                options_.arguments.push_back(take());
                continue;
            }
            take();
            if (word == "--") {
                take_arguments();
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
            if (value && *value != "true" && *value != "false")
                return fail(bad_input("option '" + name + "' takes no value but true and false"));
            return option->apply(options_, value.value_or("true"));
        }
        if (!value) {
            if (rest_.empty())
                return fail(bad_input("option '" + name + "' needs a value"));
            value = take();
        }
        return option->apply(options_, *value);
    }

    std::span<char*> rest_;
    Options& options_;
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

Result<void> parse_options(int argc, char** argv, Options& options) { return Parser{argc, argv, options}.parse(); }

std::string help_text() {
    std::string text = "ctr-oci [OPTION]... COMMAND ...\n\nRun containers from OCI bundles.\n\nCommands:\n";
    for (const Command& command : commands()) {
        std::string line = "  " + std::string{command.name} + " " + std::string{command.arguments};
        line.resize(std::max<std::size_t>(line.size() + 2, 24), ' ');
        text += line + std::string{command.help} + "\n";
    }
    text += "\nOptions:\n" + list_options_text(global_options()) +
            "  -h, --help                    show this, or a command's own help\n"
            "  -v, --version                 show the version\n\n"
            "Exit status: 0 on success, 1 on any error; of 'run' and 'exec' without --detach\n"
            "the program's own, 128 + N when signal N ended it; 255 when 'exec' could not run it.\n";
    return text;
}

std::string help_text(const std::string& name) {
    const auto command = std::ranges::find(commands(), std::string_view{name}, &Command::name);
    if (command == commands().end())
        return help_text();
    return "ctr-oci " + name + " [OPTION]... " + std::string{command->arguments} + "\n\n" + std::string{command->help} +
           "\n" + (command->options.empty() ? "" : "\nOptions:\n" + list_options_text(command->options));
}

} // namespace ctrd::ctr_oci

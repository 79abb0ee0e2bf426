#include "tools/ctrctl/command_line.hpp"

#include "ctrd/base/names.hpp"
#include "tools/ctrctl/image_line.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cctype>
#include <functional>
#include <memory>
#include <sstream>
#include <utility>

namespace ctrd::ctl {
namespace {

constexpr std::size_t help_column = 36;
constexpr const char* exit_codes =
    "Exit codes: 0 done, 1 failure, 2 bad input, 3 no such container, 4 not authorised,\n"
    "125 ctrd or ctr-oci failed; exec and run end with the command's own. See ctrctl(1).";

// --- errors in our words ----------------------------------------------------------------------------------------

/// The verb that was entered, or the program itself.
const CLI::App& entered(const CLI::App& app) {
    const auto verbs = app.get_subcommands();
    return verbs.empty() ? app : entered(*verbs.front());
}

std::string full_name(const CLI::App& verb) {
    return verb.get_parent() ? full_name(*verb.get_parent()) + " " + verb.get_name() : "ctrctl";
}

std::string help_hint(const CLI::App& verb) { return "see '" + full_name(verb) + " --help'"; }

std::string nearest_of(std::string_view word, const std::vector<std::string>& candidates) {
    const std::vector<std::string_view> views{candidates.begin(), candidates.end()};
    return std::string{nearest(word, views)};
}

Error unknown_option(const CLI::App& verb, std::string_view option) {
    const std::string_view name = option.substr(0, option.find('='));
    std::vector<std::string> known;
    for (const CLI::Option* candidate : verb.get_options())
        for (const auto& long_name : candidate->get_lnames())
            known.push_back("--" + long_name);
    const std::string near = nearest_of(name, known);
    return bad_input("unknown option '" + std::string{name} + "' of '" + full_name(verb) + "'",
                     near.empty() ? help_hint(verb) : "did you mean '" + near + "'?");
}

Error unknown_verb(const CLI::App& app, const std::string& word) {
    std::vector<std::string> known;
    for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; }))
        known.push_back(verb->get_name());
    const std::string near = nearest_of(word, known);
    return bad_input("unknown verb '" + word + "'",
                     near.empty() ? help_hint(app) : "did you mean '" + full_name(app) + " " + near + "'?");
}

bool is_option(std::string_view word) { return word.size() > 1 && word.starts_with('-'); }

/// As with systemctl, what most verbs have may stand before the verb, too.
std::vector<std::string> verb_first(std::vector<std::string> words) {
    const auto verb = std::ranges::find_if_not(words, [](std::string_view word) {
        return word == "--json" || word.starts_with("--json=") || word == "--no-ask-password";
    });
    if (verb == words.end())
        return words;
    auto end = verb + 1;
    if (*verb == "image" && end != words.end() && !is_option(*end))
        ++end;
    std::rotate(words.begin(), verb, end);
    return words;
}

std::string in_our_style(std::string text) {
    if (text.size() > 1 && std::isupper(static_cast<unsigned char>(text[0])) &&
        !std::isupper(static_cast<unsigned char>(text[1])))
        text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
    while (!text.empty() && (text.back() == '.' || text.back() == '\n'))
        text.pop_back();
    return text;
}

Error describe(const CLI::App& app, const CLI::ParseError& error) {
    const CLI::App& verb = entered(app);
    const auto left = verb.remaining();
    const std::string word = left.empty() ? "" : left.front();
    if (is_option(word))
        return unknown_option(verb, word);
    if (!verb.get_subcommands([](const CLI::App*) { return true; }).empty())
        return word.empty() ? bad_input("no verb is given", help_hint(verb)) : unknown_verb(verb, word);
    if (dynamic_cast<const CLI::ExtrasError*>(&error))
        return bad_input("'" + full_name(verb) + "' does not take '" + word + "'", help_hint(verb));
    return bad_input(in_our_style(error.what()), help_hint(verb));
}

// --- what several verbs have ------------------------------------------------------------------------------------

/// The usual help, with what follows the positionals in its first line.
class CommandFormatter : public CLI::Formatter {
public:
    explicit CommandFormatter(std::string usage) : usage_{std::move(usage)} { column_width(help_column); }
    std::string make_usage(const CLI::App* app, std::string name) const override {
        std::string text = CLI::Formatter::make_usage(app, std::move(name));
        const std::size_t end = text.find_last_not_of('\n') + 1;
        return text.insert(end, " " + usage_);
    }

private:
    std::string usage_;
};

/// The verb ends with a command for a container: nothing after its first word is an option of ours.
void take_command(CLI::App& verb, const std::string& usage) {
    verb.prefix_command();
    verb.formatter(std::make_shared<CommandFormatter>(usage));
}

void add_json(CLI::App& verb, std::string& value) {
    verb.add_flag("--json", value, "print JSON for scripts; short: in one line")
        ->check(CLI::IsMember({"true", "pretty", "short", "off"})) // "true" is what CLI11 gives --json without a value
        ->option_text("[=pretty|short|off]");
}

void add_ask(CLI::App& verb, bool& no_ask_password) {
    verb.add_flag("--no-ask-password", no_ask_password, "never ask for an administrator's password");
}

/// exec and run.
template <class Options> void add_terminal(CLI::App& verb, Options& options) {
    verb.add_flag("-t,--tty", options.terminal, "with a terminal (the default where stdin and stdout are one)");
    verb.add_flag("-T,--no-tty", options.no_terminal, "without a terminal")->excludes("--tty")->option_text(" ");
}

/// exec, run and create.
template <class Options> void add_process(CLI::App& verb, Options& options) {
    verb.add_option("-u,--user", options.user, "run it as this user: name or number, with ':group' if wanted");
    verb.add_option("-w,--workdir", options.directory, "run it in this folder of the container")->option_text("DIR");
    verb.add_option("-e,--env", options.environment, "set an environment variable; may be repeated")
        ->option_text("NAME=VALUE")
        ->allow_extra_args(false);
}

std::string check_count(const std::string& text) {
    const bool digits = !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
    return digits ? "" : "'" + text + "' is not a number";
}

// --- the verbs --------------------------------------------------------------------------------------------------

/// The parser's variables, and where the chosen verb leaves its own.
class Parser {
public:
    Parser();
    Outcome<Command> parse(std::vector<std::string> words);

private:
    CLI::App& add(const char* name, const char* help) { return *app_.add_subcommand(name, help); }
    void add_looking();
    void add_control(const char* name, const char* help);
    void add_kill();
    void add_live();
    void add_files();
    void add_use();
    void add_show();
    void add_events();
    void add_exec();
    void add_attach();
    void add_logs();
    void add_run();
    void add_new(const char* name, const char* help);
    void add_keeping();
    void add_declarations();
    Outcome<std::vector<std::string>> command_of(const CLI::App& verb) const;
    void take_image();
    Outcome<Command> chosen();
    std::string help(const CLI::Success& asked_for);

    CLI::App app_{"Manage containers that are systemd units", "ctrctl"};
    std::vector<std::string> after_dashes_{};
    ListOptions list_{};
    StatusOptions status_{};
    TimingOptions timing_{};
    ControlOptions control_{};
    WaitOptions wait_{};
    SetOptions set_{};
    BindOptions bind_{};
    CpOptions cp_{};
    UseOptions use_{};
    ShowOptions show_{};
    EventsOptions events_{};
    ExecOptions exec_{};
    AttachOptions attach_{};
    LogsOptions logs_{};
    RunOptions run_{};
    RemoveOptions remove_{};
    RenameOptions rename_{};
    CheckOptions check_{};
    ApplyOptions apply_{};
    ImageOptions image_{};
    LoginOptions login_{};
    DiffOptions diff_{};
    CommitOptions commit_{};
    ExportOptions export_{};
};

Parser::Parser() {
    app_.set_version_flag("--version", "ctrctl " CTRD_VERSION);
    app_.set_help_flag("-h,--help", "show this help and exit");
    app_.require_subcommand(1);
    app_.get_formatter()->column_width(help_column);
    add_looking();
    add_control("start", "Start containers; returns when they are ready");
    add_control("stop", "Stop containers; returns when they have ended. A socket goes on listening");
    add_control("restart", "Stop and start containers");
    add_control("pause", "Stop all processes of containers where they are");
    add_control("resume", "Let the processes of paused containers go on");
    add_kill();
    add_live();
    add_files();
    add_use();
    add_show();
    add_events();
    add_exec();
    add_attach();
    add_logs();
    add_run();
    add_keeping();
    add_declarations();
    add_image_verbs(add("image", "Images: bring, send, show, name and remove them"), image_);
    add_login_verbs(app_, login_);
    app_.footer(exit_codes); // last: the verbs would have it too
}

void Parser::add_looking() {
    CLI::App& list = add("list", "List the declared containers, running or not");
    add_json(list, list_.json);
    list.add_flag("-q,--quiet", list_.quiet, "print the names only");
    CLI::App& status = add("status", "Show what is known about containers (all, if none is named)");
    status.add_option("NAME", status_.names, "container");
    add_json(status, status_.json);
    CLI::App& timing = add("timing", "Show where the time of a container's last start went");
    timing.add_option("NAME", timing_.names, "container")->required();
    add_json(timing, timing_.json);
}

void Parser::add_control(const char* name, const char* help) {
    CLI::App& verb = add(name, help);
    verb.add_option("NAME", control_.names, "container")->required();
    add_ask(verb, control_.no_ask_password);
}

void Parser::add_kill() {
    add_control("kill", "Send a signal to containers");
    CLI::App& verb = *app_.get_subcommand("kill");
    verb.add_option("-s,--signal", control_.signal, "signal by name or number")->capture_default_str();
    verb.add_option("--whom", control_.whom, "leader: the first process, all: every process")
        ->check(CLI::IsMember({"leader", "all"}))
        ->option_text("leader|all");
}

void Parser::add_live() {
    CLI::App& wait = add("wait", "Wait until containers have ended; ends with the first one's exit code that is not 0");
    wait.add_option("NAME", wait_.names, "container")->required();
    CLI::App& set = add("set", "Change limits, at once and for good");
    set.add_option("NAME", set_.name, "container")->required();
    set.add_option("KEY=VALUE", set_.assignments, "as in [resources] of its file, such as memory-max=1G")->required();
    set.add_flag("--runtime", set_.runtime, "until the next boot only");
    add_ask(set, set_.no_ask_password);
}

void Parser::add_files() {
    CLI::App& cp = add("cp", "Copy a file or folder into a running container, or out of one");
    cp.add_option("SOURCE", cp_.source, "PATH, or CONTAINER:PATH")->required();
    cp.add_option("TARGET", cp_.target, "CONTAINER:PATH, or PATH")->required();
    add_ask(cp, cp_.no_ask_password);
    CLI::App& bind = add("bind", "Mount a file or folder of the host in a running container, until it ends");
    bind.add_option("NAME", bind_.name, "container")->required();
    bind.add_option("SOURCE", bind_.source, "absolute path on the host")->required();
    bind.add_option("TARGET", bind_.target, "absolute path in the container; the same if not given");
    bind.add_flag("--read-only", bind_.read_only, "the container can't write to it");
    bind.add_flag("--mkdir", bind_.make_target, "make the target if it is not there");
    add_ask(bind, bind_.no_ask_password);
}

void Parser::add_use() {
    CLI::App& stats = add("stats", "Show what running containers use (all, if none is named)");
    stats.add_option("NAME", use_.names, "container");
    add_json(stats, use_.json);
    CLI::App& top = add("top", "Show what running containers use, again and again");
    top.add_option("NAME", use_.names, "container");
    top.add_option("-d,--delay", use_.delay, "seconds between two looks")
        ->capture_default_str()
        ->option_text("SECONDS");
    top.add_option("-n,--iterations", use_.rounds, "end after N looks")->option_text("N");
    CLI::App& ps = add("ps", "List the processes of a running container");
    ps.add_option("NAME", use_.names, "container")->required()->expected(1);
    add_json(ps, use_.json);
}

void Parser::add_show() {
    CLI::App& show = add("show", "Show properties of containers, for scripts");
    show.add_option("NAME", show_.names, "container")->required();
    show.add_option("-p,--property", show_.properties, "only this property; may be repeated")
        ->allow_extra_args(false)
        ->option_text("NAME");
    show.add_flag("--value", show_.value, "without the properties' names");
    CLI::App& cat = add("cat", "Show the files that declare containers, drop-ins too");
    cat.add_option("NAME", show_.names, "container")->required();
}

void Parser::add_events() {
    CLI::App& verb = add("events", "Show when containers started, ended, ..., from the journal");
    verb.add_option("NAME", events_.names, "container");
    verb.add_flag("-f,--follow", events_.follow, "go on with what happens from now on");
    verb.add_option("-n,--lines", events_.lines, "only the last N events")->check(check_count)->option_text("N");
    verb.add_option("--since", events_.since, "from this time on, such as 'today' or '-1h'")->option_text("TIME");
    verb.add_option("--until", events_.until, "up to this time")->option_text("TIME");
    verb.add_option("--after-cursor", events_.after_cursor, "go on after the event with this cursor")
        ->option_text("CURSOR");
    add_json(verb, events_.json);
}

void Parser::add_exec() {
    CLI::App& verb = add("exec", "Run a command in a running container; ends with its exit code");
    take_command(verb, "COMMAND [ARGUMENT...]");
    verb.add_option("NAME", exec_.name, "container")->required();
    add_terminal(verb, exec_);
    add_process(verb, exec_);
    add_ask(verb, exec_.no_ask_password);
}

void Parser::add_attach() {
    CLI::App& verb = add("attach", "Get at the terminal of a running container; ends with the container's exit code");
    verb.add_option("NAME", attach_.name, "container")->required();
    verb.add_option("--detach-keys", attach_.detach_keys, "what leaves it running; \"\" for none")
        ->option_text("KEYS [ctrl-p,ctrl-q]");
    verb.add_flag("--no-stdin", attach_.no_stdin, "only look");
    add_ask(verb, attach_.no_ask_password);
}

void Parser::add_logs() {
    CLI::App& verb = add("logs", "Show what a container has written, from the journal");
    verb.add_option("NAME", logs_.name, "container")->required();
    verb.add_flag("-f,--follow", logs_.follow, "go on with what is written from now on");
    verb.add_option("-n,--lines", logs_.lines, "only the last N lines")->check(check_count)->option_text("N");
    verb.add_option("--since", logs_.since, "from this time on, such as 'today' or '-1h'")->option_text("TIME");
    verb.add_option("--until", logs_.until, "up to this time")->option_text("TIME");
    add_json(verb, logs_.json);
}

/// run and create.
void Parser::add_new(const char* name, const char* help) {
    CLI::App& verb = add(name, help);
    take_command(verb, "[IMAGE] [--] [COMMAND [ARGUMENT...]]");
    verb.add_option("--name", run_.name, "its name; a new one if not given")->option_text("NAME");
    verb.add_option("--rootfs", run_.rootfs, "in place of IMAGE: folder that is its root file system")
        ->option_text("DIR");
    verb.add_option("--bundle", run_.bundle, "in place of IMAGE: OCI bundle, a folder with config.json")
        ->excludes("--rootfs")
        ->option_text("DIR");
    if (verb.get_name() == "run")
        add_terminal(verb, run_);
    else
        verb.add_flag("-t,--tty", run_.terminal, "with a terminal, for 'ctrctl attach'");
    add_process(verb, run_);
    verb.add_option("--hostname", run_.hostname, "its host name")->option_text("NAME");
    verb.add_option("--network", run_.network, "none: loopback only (the default of a folder), host: the host's own")
        ->check(CLI::IsMember({"none", "host"}))
        ->option_text("none|host");
    verb.add_option("--private-users", run_.private_users,
                    "its users are not the host's: pick a range for them, identity, or the first one and how many")
        ->option_text("pick|identity|no|UID[:COUNT]");
    verb.add_option("--slice", run_.slice, "the slice of systemd's that it is in, below machine.slice")
        ->option_text("SLICE");
    verb.add_flag("--read-only", run_.read_only, "the root file system can't be written to");
    verb.add_option("--entrypoint", run_.entrypoint, "in place of the image's own; once for each word")
        ->option_text("WORD")
        ->allow_extra_args(false);
    verb.add_option("--restart", run_.restart, "in the background: when it is started again after it has ended")
        ->check(CLI::IsMember({"no", "on-success", "on-failure", "on-abnormal", "on-abort", "always"}))
        ->option_text("POLICY");
}

void Parser::add_run() {
    add_new("run", "Run a new container, in the foreground or in the background");
    app_.get_subcommand("run")->add_flag("-d,--detach", run_.detach,
                                         "in the background, declared until the next boot; prints its name");
    add_new("create", "Declare a new container until the next boot, and do not start it");
    CLI::App& rename = add("rename", "Give a container at rest, of 'run --detach' or 'create', another name");
    rename.add_option("NAME", rename_.name, "container")->required();
    rename.add_option("TO", rename_.to, "its new name")->required();
    add_ask(rename, rename_.no_ask_password);
    CLI::App& remove = add("rm", "Remove containers that 'run --detach' or 'create' has made");
    remove.add_option("NAME", remove_.names, "container")->required();
    remove.add_flag("-f,--force", remove_.force, "stop them first if they run");
    add_ask(remove, remove_.no_ask_password);
}

void Parser::add_keeping() {
    CLI::App& diff = add("diff", "Show what a container has written to its image");
    diff.add_option("NAME", diff_.name, "container")->required();
    add_json(diff, diff_.json);
    CLI::App& commit = add("commit", "Make an image of a container's image and what it has written to it");
    commit.add_option("NAME", commit_.name, "container")->required();
    commit.add_option("IMAGE", commit_.image, "what to call it; a name of another image becomes this one's")
        ->required();
    commit.add_option("-a,--author", commit_.author, "who made it")->option_text("TEXT");
    commit.add_option("-m,--message", commit_.message, "why, for its history")->option_text("TEXT");
    commit.add_flag("-p,--pause", commit_.pause, "stop its processes meanwhile");
    add_ask(commit, commit_.no_ask_password);
    add_json(commit, commit_.json);
    CLI::App& files = add("export", "Write all files of a running container into a tar");
    files.add_option("NAME", export_.name, "container")->required();
    files.add_option("-o,--output", export_.output, "into this file; stdout if not given")->option_text("FILE");
}

void Parser::add_declarations() {
    CLI::App& check = add("check", "Check container files (NAME.toml); silent if all is well");
    check.add_option("FILE", check_.files, "file")->required();
    add_json(check, check_.json);
    CLI::App& apply = add("apply", "Make systemd run what the files declare (all, if none is named)");
    apply.add_option("NAME", apply_.names, "container");
    apply.add_flag("-n,--dry-run", apply_.dry_run, "only say what would be done");
    add_json(apply, apply_.json);
}

/// What stands after the verb's own options and positionals. An option that the verb does not know ends up in front of
/// it and is an error.
Outcome<std::vector<std::string>> Parser::command_of(const CLI::App& verb) const {
    std::vector<std::string> command = verb.remaining();
    if (!command.empty() && is_option(command.front()))
        return refuse(exit_bad_input, unknown_option(verb, command.front()));
    // Before the command "--" is ours; once it has begun, everything is its own.
    const std::ptrdiff_t skip = command.empty() && !after_dashes_.empty() ? 1 : 0;
    command.insert(command.end(), after_dashes_.begin() + skip, after_dashes_.end());
    return command;
}

/// The first word, where nothing else says what is run.
void Parser::take_image() {
    auto& words = run_.command;
    if (!run_.rootfs.empty() || !run_.bundle.empty() || words.empty())
        return;
    run_.image = words.front();
    // The command has not begun yet: a "--" before it is ours.
    words.erase(words.begin(), words.begin() + (words.size() > 1 && words[1] == "--" ? 2 : 1));
}

Outcome<Command> Parser::chosen() {
    const CLI::App& verb = entered(app_);
    const std::string name = verb.get_name();
    if (verb.get_parent() != &app_) {
        image_.verb = name;
        return image_;
    }
    run_.create = name == "create";
    const bool is_new = name == "run" || run_.create;
    if (name == "exec" || is_new) {
        auto command = command_of(verb);
        if (!command)
            return std::unexpected{std::move(command).error()};
        (name == "exec" ? exec_.command : run_.command) = std::move(*command);
        if (is_new)
            take_image();
    }
    control_.verb = use_.verb = show_.verb = login_.verb = name;
    const std::pair<std::string_view, std::function<Command()>> verbs[] = {
        {"list", [&] { return list_; }},     {"status", [&] { return status_; }}, {"exec", [&] { return exec_; }},
        {"logs", [&] { return logs_; }},     {"run", [&] { return run_; }},       {"check", [&] { return check_; }},
        {"apply", [&] { return apply_; }},   {"wait", [&] { return wait_; }},     {"set", [&] { return set_; }},
        {"bind", [&] { return bind_; }},     {"cp", [&] { return cp_; }},         {"stats", [&] { return use_; }},
        {"top", [&] { return use_; }},       {"ps", [&] { return use_; }},        {"show", [&] { return show_; }},
        {"rm", [&] { return remove_; }},     {"cat", [&] { return show_; }},      {"events", [&] { return events_; }},
        {"create", [&] { return run_; }},    {"rename", [&] { return rename_; }}, {"timing", [&] { return timing_; }},
        {"attach", [&] { return attach_; }}, {"login", [&] { return login_; }},   {"logout", [&] { return login_; }},
        {"diff", [&] { return diff_; }},     {"commit", [&] { return commit_; }}, {"export", [&] { return export_; }},
    };
    for (const auto& [known, options] : verbs)
        if (known == name)
            return options();
    return control_;
}

std::string Parser::help(const CLI::Success& asked_for) {
    std::ostringstream text;
    app_.exit(asked_for, text, text);
    return text.str();
}

Outcome<Command> Parser::parse(std::vector<std::string> words) {
    // CLI11 takes what follows "--" for the program's business and not the verb's: it does not get to see it.
    if (!words.empty() && (words.front() == "exec" || words.front() == "run" || words.front() == "create")) {
        const auto dashes = std::ranges::find(words, "--");
        after_dashes_.assign(dashes, words.end());
        words.erase(dashes, words.end());
    }
    std::ranges::reverse(words); // as CLI11 wants them
    try {
        app_.parse(std::move(words));
    } catch (const CLI::Success& asked_for_help) {
        return Answer{help(asked_for_help)};
    } catch (const CLI::ParseError& error) {
        return refuse(exit_bad_input, describe(app_, error));
    }
    return chosen();
}

} // namespace

Outcome<Command> parse_command_line(std::vector<std::string> words) {
    return Parser{}.parse(verb_first(std::move(words)));
}

} // namespace ctrd::ctl

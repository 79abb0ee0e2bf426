// The verbs: what the command line can ask of each, and the function that does it. Every function prints, reports and
// returns ctrctl's exit code.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace ctrd::ctl {

struct ListOptions {
    std::string json{"off"};
    bool quiet{false};
};
int list(const ListOptions& options);

struct StatusOptions {
    std::vector<std::string> names{}; // none: all
    std::string json{"off"};
};
int status(const StatusOptions& options);

struct TimingOptions {
    std::vector<std::string> names{};
    std::string json{"off"};
};
int timing(const TimingOptions& options);

/// start, stop, restart, pause, resume and kill.
struct ControlOptions {
    std::string verb{};
    std::vector<std::string> names{};
    bool no_ask_password{false};
    std::string signal{"SIGTERM"}; // of kill
    std::string whom{"leader"};    // of kill
};
int control(const ControlOptions& options);

struct WaitOptions {
    std::vector<std::string> names{};
};
int wait(const WaitOptions& options);

struct SetOptions {
    std::string name{};
    std::vector<std::string> assignments{};
    bool runtime{false}, no_ask_password{false};
};
int set(const SetOptions& options);

struct BindOptions {
    std::string name{}, source{}, target{};
    bool read_only{false}, make_target{false}, no_ask_password{false};
};
int bind(const BindOptions& options);

struct CpOptions {
    std::string source{}, target{};
    bool no_ask_password{false};
};
int cp(const CpOptions& options);

/// stats, top and ps.
struct UseOptions {
    std::string verb{};
    std::vector<std::string> names{}; // none: all that run
    std::string json{"off"};
    std::uint32_t rounds{0}; // of top; 0: until it is ended
    std::string delay{"2"};  // of top; seconds
};
int use(const UseOptions& options);

/// show and cat.
struct ShowOptions {
    std::string verb{};
    std::vector<std::string> names{};
    std::vector<std::string> properties{}; // of show; none: all
    bool value{false};                     // of show: without the names
};
int show(const ShowOptions& options);

struct EventsOptions {
    std::vector<std::string> names{}; // none: all
    std::string since{}, until{}, lines{}, after_cursor{};
    std::string json{"off"};
    bool follow{false};
};
int events(const EventsOptions& options);

struct ExecOptions {
    std::string name{}, user{}, directory{};
    std::vector<std::string> environment{}, command{};
    bool terminal{false}, no_terminal{false}, no_ask_password{false};
};
int exec(const ExecOptions& options);

struct AttachOptions {
    std::string name{};
    std::string detach_keys{"ctrl-p,ctrl-q"};
    bool no_stdin{false}, no_ask_password{false};
};
int attach(const AttachOptions& options);

struct LogsOptions {
    std::string name{}, lines{}, since{}, until{};
    std::string json{"off"};
    bool follow{false};
};
int logs(const LogsOptions& options);

struct RunOptions {
    std::string name{}, image{}, rootfs{}, bundle{}, user{}, directory{}, hostname{}, network{}, private_users{},
        slice{};
    std::vector<std::string> environment{}, entrypoint{}, command{};
    std::string restart{};
    bool terminal{false}, no_terminal{false}, read_only{false};
    bool detach{false}, create{false}; // in the background; declared, and not started
};
/// run and create.
int run(const RunOptions& options);

struct RemoveOptions {
    std::vector<std::string> names{};
    bool force{false}, no_ask_password{false};
};
int remove(const RemoveOptions& options);

struct RenameOptions {
    std::string name{}, to{};
    bool no_ask_password{false};
};
int rename(const RenameOptions& options);

struct CheckOptions {
    std::vector<std::string> files{};
    std::string json{"off"};
};
int check(const CheckOptions& options);

struct ApplyOptions {
    std::vector<std::string> names{}; // none: all
    bool dry_run{false};
    std::string json{"off"};
};
int apply(const ApplyOptions& options);

/// `ctrctl image VERB`: every verb has some of it.
struct ImageOptions {
    std::string verb{};
    std::vector<std::string> names{};
    std::string file{}, name{}, wanted{}, platform{}, output{};
    std::string store{}, max_layer_size{};
    std::string format{"oci-archive"};                                          // of save
    std::string auth_file{}, certificate_folder{}, policy_file{}, tls_verify{}; // of pull and push
    std::string user{}, directory{};                                            // of import, as the next two
    std::vector<std::string> environment{}, command{};
    std::string json{"off"};
    std::string until{};         // of prune
    std::string artifact_type{}; // of referrers
    bool quiet{false}, replace{false}, dry_run{false}, force{false}, all{false}, quick{false}, repair{false};
};
int image(const ImageOptions& options);

struct DiffOptions {
    std::string name{};
    std::string json{"off"};
};
int diff(const DiffOptions& options);

struct CommitOptions {
    std::string name{}, image{}, author{}, message{};
    std::string json{"off"};
    bool pause{false}, no_ask_password{false};
};
int commit(const CommitOptions& options);

struct ExportOptions {
    std::string name{}, output{};
};
int export_files(const ExportOptions& options);

/// login and logout.
struct LoginOptions {
    std::string verb{};
    std::string registry{}, user{};
    std::string auth_file{}, certificate_folder{}, tls_verify{};
    bool password_stdin{false};
};
int log_in_or_out(const LoginOptions& options);

/// What --help and --version print.
struct Answer {
    std::string text{};
};

/// One command line, understood.
using Command = std::variant<Answer, ListOptions, StatusOptions, ControlOptions, WaitOptions, SetOptions, BindOptions,
                             CpOptions, UseOptions, ShowOptions, EventsOptions, ExecOptions, AttachOptions, LogsOptions,
                             RunOptions, RemoveOptions, RenameOptions, CheckOptions, ApplyOptions, TimingOptions,
                             ImageOptions, LoginOptions, DiffOptions, CommitOptions, ExportOptions>;

} // namespace ctrd::ctl

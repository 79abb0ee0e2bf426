// runc's command line, and what crun and the callers of both add to it: global options, a command, its options, its
// arguments.
#pragma once

#include "ctrd/base/result.hpp"

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

namespace ctrd::ctr_oci {

enum class Rootless { automatic, yes, no };
enum class LogLevel { error, warning, debug };

struct CriuOptions {
    std::string image_path{"checkpoint"};
    std::string work_path{};
    std::string parent_path{};
    std::string cgroups_mode{"soft"};
    std::string page_server{};
    std::string status_fd{};
    std::string lsm_profile{};
    std::string lsm_mount_context{};
    bool leave_running{false};
    bool pre_dump{false};
    bool tcp_established{false};
    bool tcp_skip_in_flight{false};
    bool link_remap{false};
    bool ext_unix_sk{false};
    bool shell_job{false};
    bool file_locks{false};
    bool auto_dedup{false};
    bool lazy_pages{false};
    bool empty_network{false};
};

struct Options {
    // global
    std::string root{};
    std::string log{};
    bool log_json{false};
    LogLevel log_level{LogLevel::warning};
    bool debug{false};
    bool systemd_cgroup{false};
    Rootless rootless{Rootless::automatic};
    // of the command
    std::string command{};
    std::string bundle{"."};
    std::string config{}; // the configuration's file, when it is not <bundle>/config.json
    std::string console_socket{};
    std::string pidfd_socket{};
    std::string pid_file{};
    unsigned preserve_fds{0};
    std::vector<int> pass_fds{}; // open_descriptors(), once it is known what the environment adds to them
    bool no_new_keyring{false};
    bool no_pivot{false};
    bool detach{false};
    bool keep{false};
    bool all{false};
    bool regex{false};
    bool force{false};
    bool quiet{false};
    bool json{false};
    bool stats{false};
    bool rootless_spec{false};
    std::chrono::milliseconds interval{5000};
    // exec: what its process has other than the container's first one
    std::string process_file{};
    std::string cwd{};
    std::string user{};
    std::string apparmor{};
    std::string process_label{};
    std::vector<std::string> additional_gids{};
    std::vector<std::string> env{};
    std::vector<std::string> capabilities{};
    std::vector<std::string> cgroups{};
    std::optional<bool> no_new_privileges{};
    bool tty{false};
    bool ignore_paused{false};
    // update
    std::string resources_file{};
    std::vector<std::pair<std::string, std::string>> limits{}; // option and value, as given

    // checkpoint and restore
    CriuOptions criu{};

    std::vector<std::string> arguments{};
};

/// Unknown commands and options are errors that name the nearest known one. `command` is "help" or "version" for those.
/// What came before an error is in `options`: --log, above all.
Result<void> parse_options(int argc, char** argv, Options& options);

std::string help_text();
std::string help_text(const std::string& command);

} // namespace ctrd::ctr_oci

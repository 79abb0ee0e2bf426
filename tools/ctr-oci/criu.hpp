// CRIU, which saves and brings back processes: its program, run for one request (`criu swrk`), and what both commands
// ask of it.
#pragma once

#include "ctrd/base/fd.hpp"
#include "tools/ctr-oci/criu_message.hpp"
#include "tools/ctr-oci/options.hpp"

#include <functional>

namespace ctrd::ctr_oci {

/// Where the images and CRIU's log are.
struct CriuFolders {
    UniqueFd images{};
    UniqueFd work{};   // invalid: that of the images
    std::string log{}; // the log's path, for messages
};

enum class ImagesAre { to_write, to_read };
/// --image-path and --work-path, checked: ours, and nobody else may write there. What is in the images becomes
/// processes, with the rights that the images say.
Result<CriuFolders> open_criu_folders(const Options& options, ImagesAre use);

/// What both commands need: root, and no option that we can't do.
Result<void> check_criu_options(const Options& options);

/// criu_opts, with what both requests have in common. `log` is a file's name.
CriuMessage criu_options(const Options& options, const CriuFolders& folders, std::string_view log);

/// A mount namespace for CRIU, in which we are while we open what it gets by descriptor (it mounts there) and make its
/// process. Nothing of it is left on the host, however this ends.
class CriuMounts {
public:
    /// With `source` bound on `target`, as CRIU wants the root of what it restores.
    static Result<CriuMounts> enter(const std::string& source, const std::string& target);
    CriuMounts(CriuMounts&&) noexcept = default;
    CriuMounts& operator=(CriuMounts&&) = delete;
    ~CriuMounts();
    /// Back to our own one.
    Result<void> leave();

private:
    CriuMounts(UniqueFd home, UniqueFd folder) : home_{std::move(home)}, folder_{std::move(folder)} {}
    UniqueFd home_;
    UniqueFd folder_;
};

struct CriuSetup {
    std::string cgroup{};        // to run in; empty: ours
    std::vector<int> pass_fds{}; // keep their numbers
    CriuMounts* mounts{nullptr}; // left as soon as CRIU runs
};

/// A notification; `fds`: what came with it.
using CriuNotified = std::function<Result<void>(const CriuReply& reply, const std::vector<UniqueFd>& fds)>;

/// Runs CRIU and returns its answer; it has ended then. `doing` is for the message, `folders` for its log.
Result<CriuReply> call_criu(CriuType type, const CriuMessage& criu_options, const CriuSetup& setup,
                            const CriuNotified& notified);

/// Why it failed: the last errors of its log.
Error criu_error(const CriuFolders& folders, std::string_view log, std::string_view doing, const CriuReply& reply);

} // namespace ctrd::ctr_oci

// The private bundle of a container that `ctrctl run` starts: /run/ctrd/adhoc/NAME. It exists as long as the run does.
#pragma once

#include "tools/ctrctl/outcome.hpp"

#include "ctrd/base/fd.hpp"

#include <string>

namespace ctrd::ctl {

class AdhocBundle {
public:
    /// Takes the name and writes config.json. exit_failure if the name is in use. What a killed ctrctl left under this
    /// or another name is swept away first.
    static Outcome<AdhocBundle> create(const std::string& name, const std::string& config_json,
                                       const std::string& run_dir = "/run/ctrd");

    AdhocBundle(AdhocBundle&&) noexcept = default;
    AdhocBundle& operator=(AdhocBundle&&) = delete;
    ~AdhocBundle(); // removes it

    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    /// Where the runtime writes why it failed: what tells its own exit code from a payload's.
    [[nodiscard]] std::string error_log() const { return path_ + "/errors"; }

private:
    AdhocBundle(std::string path, UniqueFd lock) : path_{std::move(path)}, lock_{std::move(lock)} {}
    std::string path_;
    UniqueFd lock_; // flock(2) on the folder: whoever holds it lives
};

/// The exit code for what the runtime has logged: 127 or 126 for a command that can't be executed, 125 for all else.
int exit_code_of(std::string_view error_log);

} // namespace ctrd::ctl

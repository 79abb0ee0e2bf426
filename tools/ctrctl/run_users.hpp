// The ids of a `ctrctl run --private-users`: given to it for as long as it runs.
#pragma once

#include "config/unit_spec.hpp"
#include "ctrd/base/result.hpp"
#include "ctrd/plan/plan.hpp"

namespace ctrd::ctl {

class RunUsers {
public:
    /// None, unless `spec` asks for them.
    static Result<RunUsers> take(const config::UnitSpec& spec);
    RunUsers(RunUsers&& other) noexcept
        : ids_{std::move(other.ids_)}, picked_for_{std::exchange(other.picked_for_, std::string{})} {}
    RunUsers& operator=(RunUsers&&) = delete;
    ~RunUsers();
    [[nodiscard]] const std::optional<plan::IdMap>& ids() const { return ids_; }

private:
    RunUsers() = default;
    std::optional<plan::IdMap> ids_{};
    std::string picked_for_{}; // whose range is given back
};

/// In the child that becomes the runtime: `rootfs` on `place`, its files those of the ids, in a mount namespace of its
/// own.
Result<void> mount_mapped(const std::string& rootfs, const plan::IdMap& ids, const std::string& place);

/// A mount namespace from which nothing reaches the host's.
Result<void> enter_own_mounts();

} // namespace ctrd::ctl

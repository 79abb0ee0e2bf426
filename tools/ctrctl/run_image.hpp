// The root file system of a `ctrctl run IMAGE`: the image's layers, and a place for changes that is gone with the run.
#pragma once

#include "config/config.hpp"
#include "ctrd/plan/plan.hpp"
#include "tools/ctrctl/outcome.hpp"

#include <memory>

namespace ctrd::ctl {

/// The file that says where in the store such a run's changes are: "tmp/NAME".
inline std::string fleeting_changes_note(const std::string& container) {
    return std::string{image::default_run_folder} + "/adhoc/" + container + "/changes";
}

class RunImage {
public:
    /// The store, locked until hold() has noted that the image is in use: nobody removes meanwhile what is looked for.
    static Outcome<RunImage> open(const image::Digest& digest);
    [[nodiscard]] const image::Digest& digest() const { return digest_; }
    /// Makes the place for changes, and writes the note into `folder`, which is the run's own.
    Outcome<void> hold(const config::ImageFacts& facts, const std::string& name, const std::string& folder);
    /// In the child that becomes the runtime, and what it starts: the file system is mounted on `place` in a mount
    /// namespace of its own. A run that is killed leaves none on the host. `ids`: whose its files are to be.
    [[nodiscard]] Result<void> mount_on(const std::string& place, const std::optional<plan::IdMap>& ids) const;

private:
    RunImage(image::Store store, UniqueFd lock, image::Digest digest)
        : store_{std::move(store)}, lock_{std::move(lock)}, digest_{std::move(digest)} {}
    image::Store store_;
    UniqueFd lock_;
    image::Digest digest_;
    std::unique_ptr<image::Workspace> workspace_{};
    plan::Stack stack_{};
};

} // namespace ctrd::ctl

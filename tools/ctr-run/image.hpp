// The rootfs of a declared container: what its start takes from the image store, and says that it takes
// (ctrd/image/use.hpp); and whose files they are.
#pragma once

#include "ctrd/plan/plan.hpp"
#include "tools/ctr-run/declared.hpp"

namespace ctrd::run {

/// load_declared(); where it names an image, that is noted as in use, and there, from then on.
/// `key`: what the note is called, where several runs of one declaration are there at once.
Result<Declared> load_and_use(const std::string& name, const std::string& key);

/// What a plan must know of the host for the rootfs. Where the declaration asks for ids that nobody else has, they are
/// in the spec's mappings from then on; the place for what the container writes is made.
Result<plan::HostFacts> rootfs_facts(Declared& declared);

/// At its end.
Result<void> release_image(const std::string& key);

} // namespace ctrd::run

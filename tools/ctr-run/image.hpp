// The rootfs of a container that is declared with an image: what its start takes from the image store, and says that it
// takes (ctrd/image/use.hpp).
#pragma once

#include "ctrd/plan/plan.hpp"
#include "tools/ctr-run/declared.hpp"

namespace ctrd::run {

/// load_declared(); where it names an image, that is noted as in use, and there, from then on.
/// `key`: what the note is called, where several runs of one declaration are there at once.
Result<Declared> load_and_use(const std::string& name, const std::string& key);

/// The place for what the container writes is made with it.
Result<plan::Stack> make_stack(const std::string& name, const DeclaredImage& image);

/// At its end.
Result<void> release_image(const std::string& key);

} // namespace ctrd::run

// An image's own config as defaults of a declaration, as Docker and Podman take it. Pure. All of it is a stranger's
// word: it says what runs and as whom, and never what that may do.
#pragma once

#include "config/config.hpp"

namespace ctrd::config {

/// `spec` with what it leaves to the image: command, working directory, stop signal, the port of its only socket. The
/// image's user and environment stay in its config: they are no declared ones.
Outcome<UnitSpec> with_image(const UnitSpec& spec, const image::Config& config);

/// "name:tag@sha256:...": the name as it was declared and what it was found to mean; "" without an image.
std::string image_text(const UnitSpec& spec, const Facts& facts);

/// Whether what the container writes is gone with it.
bool forgets_changes(const UnitSpec& spec);

} // namespace ctrd::config

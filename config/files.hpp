// Folders as sorted lists, and what a container needs to be there before it can be compiled.
#pragma once

#include "config/config.hpp"

namespace ctrd::config {

/// Names without those that begin with '.', sorted; none if there is no such folder.
Result<std::vector<std::string>> list_folder(const std::string& path);

/// Files, folders and images that `spec` names and that are not there, or are the empty folder on which a file system
/// will be mounted: at boot the generator runs before local file systems are.
std::vector<std::string> missing_files(const UnitSpec& spec, const std::string& image_store);

/// For a unit that was made before these were there: with the unit's files as they were made then, if nothing that
/// systemd must know differs.
Outcome<Compiled> compile_late(const UnitSpec& spec, const Sources& sources);

} // namespace ctrd::config

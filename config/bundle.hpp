// A bundle's own config.json as the base of a container's config.
#pragma once

#include "config/config.hpp"

#include <nlohmann/json.hpp>

namespace ctrd::config {

struct Bundle {
    nlohmann::json config{};  // root.path absolute; of a declared container without resources and cgroupsPath
    ResourceSpec resources{}; // its linux.resources as properties of a unit
};
/// `text` is checked by oci::parse first, so every member that the OCI config defines has its type.
Outcome<Bundle> read_bundle(const UnitSpec& spec, const std::string& text, bool declared);

/// Where the bundle's rootfs is, from its config.json.
Result<std::string> bundle_rootfs(const std::string& bundle, const std::string& text);

/// What was declared stays; what was not comes from `under`.
void merge_resources(ResourceSpec& resources, const ResourceSpec& under);

} // namespace ctrd::config

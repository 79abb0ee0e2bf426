// config.json -> Spec. Every string, number and shape is checked here, once: the plan can trust a Spec.
#pragma once

#include "ctrd/base/result.hpp"
#include "ctrd/oci/spec.hpp"

#include <nlohmann/json_fwd.hpp>

namespace ctrd::oci {

/// Largest config.json that is read at all.
constexpr std::size_t max_config_size = 4U << 20;

/// Errors name the property ("process.user.uid") and, for text that is no JSON, line and column.
Result<Spec> parse(std::string_view text);

/// The same in two steps, for who looks for keys of its own in the document.
Result<nlohmann::json> read_document(std::string_view text);
Result<Spec> parse_document(const nlohmann::json& document);

/// A linux.resources object alone, for a container whose configuration has this ociVersion.
Result<Resources> parse_resources(std::string_view text, std::string_view version);

/// process.json of `exec --process`.
Result<Process> parse_process(std::string_view text);

} // namespace ctrd::oci

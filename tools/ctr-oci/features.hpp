// features.md: what this runtime knows, as data of the program and not of the host.
#pragma once

#include <nlohmann/json.hpp>

namespace ctrd::ctr_oci {

nlohmann::ordered_json features_json();

} // namespace ctrd::ctr_oci

// UnitSpec -> OCI runtime config. Pure: everything that lies in files comes in as Facts.
#pragma once

#include "config/config.hpp"

namespace ctrd::config {

struct OciOptions {
    bool terminal{false};
    bool declared{true};       // with the key "ctrd", and with resources left to the unit
    std::string unit_signal{}; // what systemd was told to stop it with; empty: the spec's own
};
struct OciResult {
    std::string json{};
    ResourceSpec resources{}; // the declared ones over what the bundle has
};
Outcome<OciResult> make_oci(const UnitSpec& spec, const Facts& facts, const OciOptions& options);

} // namespace ctrd::config

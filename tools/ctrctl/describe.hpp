// A container's facts as text and as JSON: pure, so that their shape is a test's business.
#pragma once

#include "tools/ctrctl/client.hpp"
#include "tools/ctrctl/output.hpp"

#include <nlohmann/json_fwd.hpp>

namespace ctrd::ctl {

Style style_of_state(std::string_view state);
/// "exited with 7", "killed by SIGKILL, for lack of memory", or empty if no process of it has ended. `result`:
/// systemd's.
std::string describe_end(std::int32_t main_code, std::int32_t main_status, std::string_view result = {});
/// "3min 5s", "2h 10min", "4 days".
std::string describe_age(std::uint64_t microseconds);

std::string list_text(const std::vector<Row>& rows, const Look& look);
nlohmann::json list_json(const std::vector<Row>& rows);
/// `now`: microseconds since 1970.
std::string status_text(const Details& details, std::uint64_t now, const Look& look);
nlohmann::json status_json(const Details& details);

} // namespace ctrd::ctl

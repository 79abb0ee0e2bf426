// What `ctrctl apply` does for one container, decided before anything is done: pure.
#pragma once

#include "config/config.hpp"

#include <string>
#include <vector>

namespace ctrd::ctl {

/// One container as it is declared and as it is.
struct Situation {
    std::string name{};
    bool declared{true};       // false: its file is gone, its units are still there
    config::Changes changes{}; // of the declaration against what systemd has read
    config::Start start{config::Start::boot};
    std::vector<std::string> listens{};  // the declared addresses
    std::vector<std::string> triggers{}; // what else starts it: "it is 'daily'"
    std::string image{};                 // "web:1 (sha256:0123456789ab)"; empty: it has none
    bool accepts{false};                 // a container for each connection: no service of its own
    bool has_pool{false};                // some of those wait, made before
    bool new_at_boot{false};             // it was not declared to be there from boot on, and is now
    bool named{false};                   // the user asked for this one by name
    bool service_up{false};
    bool service_failed{false};
    bool service_outdated{false}; // it runs, but was started before its present config was written
    bool socket_up{false};
    bool socket_broken{false}; // it is up, but does not listen where it is declared to
};

/// The steps, in the order in which they are done. "Before" and "after" are meant of the reload.
struct Decision {
    std::string name{};
    std::string summary{}; // "created, listening on 0.0.0.0:8080"; empty: nothing to do
    bool stop_socket_before{false};
    bool stop_service_before{false};
    bool start_socket{false};
    bool start_service{false};
    bool restart_service{false};
    bool renew_pool{false};
    bool reload{false};

    [[nodiscard]] bool does_nothing() const {
        return !stop_socket_before && !stop_service_before && !start_socket && !start_service && !restart_service &&
               !reload;
    }
};

Decision decide(const Situation& situation);

/// "a", "a and b", "a, b and c".
std::string join_words(const std::vector<std::string>& words);

} // namespace ctrd::ctl

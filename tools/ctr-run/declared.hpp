// /run/ctrd/compiled/NAME/config.json: the one file that a start reads.
#pragma once

#include "ctrd/base/result.hpp"
#include "ctrd/oci/spec.hpp"

#include <chrono>
#include <optional>
#include <vector>

namespace ctrd::run {

/// `automatic`: adopt, and proxy where that turns out not to work.
enum class Deliver { adopt, pass, proxy, automatic, stdio };

/// Whether the journal of a systemd in the container is kept on the host; `try_host`: if that can be.
enum class LinkJournal { no, host, try_host };

struct DeclaredSocket {
    std::string name{};
    std::string listen{}; // as the TOML file has it: "0.0.0.0:8080", "[::]:8080", "8080", "/run/x.sock"
    Deliver deliver{Deliver::adopt};
    std::uint16_t port{0}; // what the payload binds, for `adopt`
    std::optional<int> backlog{};
    bool datagram{false};
    std::string path{};   // what the payload binds in place of a port
    bool of_range{false}; // one of many, which the payload binds when it likes
};

/// What its rootfs is made of, in the image store.
struct DeclaredImage {
    std::string name{};                // as it was declared
    std::string digest{};              // of the manifest
    std::vector<std::string> layers{}; // as they are named in the store, the uppermost first
    bool forgets{false};               // what the container writes is gone with it
    std::uint64_t disk_max{0};         // bytes, of what it writes; 0: no bound
};

/// A file that lies over the image's own (config/name_files.hpp).
struct DeclaredName {
    std::string place{};  // in the container
    std::string source{}; // beside the config, or, absolute, the host's
};

struct Declared {
    std::string name{};
    std::string folder{}; // of the config: relative paths are below it
    oci::Spec spec{};
    int stop_signal{15};
    std::chrono::milliseconds stop_timeout{10000}; // 0: none
    std::chrono::milliseconds ready_timeout{30000};
    std::vector<DeclaredSocket> sockets{};
    std::uint64_t stamp{0};        // of the config's text: what was learnt with another one does not count
    bool waits_created{false};     // standby = "created": the program starts when somebody connects
    bool accepts{false};           // a container for each connection
    unsigned warm_pool{0};         // how many of them wait, made before
    unsigned max_connections{0};   // with a warm pool
    bool systemd{false};           // is what runs in the container
    bool notify{false};            // the payload says itself when it is ready (sd_notify)
    bool pipes_output{false};      // standard output and error are a pipe, which ctrd reads
    bool init{false};              // ctr-init is PID 1, the payload its child
    bool sends_stop_signal{false}; // systemd was told another one: `stop` sends it
    std::optional<DeclaredImage> image{};
    std::vector<DeclaredName> names{};
    bool private_users{false}; // a user namespace; without mappings in `spec` they are still to be picked
    LinkJournal link_journal{LinkJournal::no};
    bool machine_shell{false}; // machined's calls for a shell are answered by ctrd, not by a systemd in the container
};

Result<Declared> load_declared(const std::string& name);

/// Only the key "ctrd", without the container's own part: for `stop`.
Result<Declared> load_declaration(const std::string& name);

} // namespace ctrd::run

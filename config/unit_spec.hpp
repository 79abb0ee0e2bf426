// One declared container, as its TOML files say it: plain data, no TOML, no JSON. What was not written is nullopt, so
// that a bundle's own config.json can decide it.
#pragma once

#include "config/diagnostic.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ctrd::config {

enum class Network { none, host };
enum class Start { boot, connection, manual };
/// `automatic`: adopt, and proxy where that turns out not to work. `stdio`: one connection, as standard input and
/// output.
enum class Deliver { adopt, pass, proxy, automatic, stdio };
enum class MountType { bind, tmpfs };
/// What waits while nobody connects: nothing, a container all but its program, or the program itself, stopped.
enum class Standby { stopped, created, frozen };
enum class IdleStop { lossless, graceful };
/// What is forgotten of what the container writes, as systemd-nspawn's --volatile= has it: nothing, all of it, or all
/// of it where it may write at all, which is in /var.
enum class Volatile { no, overlay, state };
/// Where the journal of a systemd in the container is kept, as systemd-nspawn's --link-journal= has it: in the
/// container, or on the host; `try_host`: on the host if that can be.
enum class LinkJournal { no, host, try_host };

/// Which ids of the host a container's own are, as systemd-nspawn's --private-users= has it: those from 0 to count - 1
/// are those from `first` on, or of a range that is picked at its first start.
struct PrivateUsers {
    bool pick{false};
    std::uint32_t first{0};
    std::uint32_t count{65536};
};

/// What a [[socket]] table says.
struct SocketSpec {
    std::string
        listen{}; // as ListenStream= and ListenDatagram= take it: "8080", "0.0.0.0:8080", "[::]:8080", "/run/x.sock"
    std::uint16_t port{0};      // what the payload binds; 0 for an AF_UNIX socket
    std::uint16_t last_port{0}; // of a range on the host, until it is one socket for each port; else 0
    bool of_range{false};       // the payload may bind it at any time, or never
    std::string path{};         // what the payload binds, where an AF_UNIX socket is adopted
    Deliver deliver{Deliver::adopt};
    bool datagram{false}; // UDP, or a datagram socket with a path
    std::string name{};   // FileDescriptorName=, unique in the container
    std::optional<std::uint32_t> backlog{};
    bool accept{false}; // a container for each connection; the same for all sockets of a container
    std::optional<std::string> mode{}, user{}, group{};                           // of the file of a socket with a path
    std::optional<std::uint32_t> max_connections{}, max_connections_per_source{}; // with `accept`
};

/// What a [[start-on]] table says: one thing that systemd waits for.
struct TriggerSpec {
    enum class Kind { path_exists, path_changed, directory_not_empty, calendar, every };
    Kind kind{Kind::path_exists};
    std::string value{}; // a path of the host, or a time as systemd writes it
};

/// What a [[mount]] table says.
struct MountSpec {
    MountType type{MountType::bind};
    std::string source{}; // bind only; absolute
    std::string target{}; // absolute, in the container
    bool read_only{false};
    std::vector<std::string> options{}; // mount options as in an OCI config, such as "size=64m" or "noexec"
};

/// [resources]: values in systemd's own notation, already checked; they become properties of the unit.
struct ResourceSpec {
    std::optional<std::string> memory_max{}, memory_high{}, memory_swap_max{};
    std::optional<std::string> cpu_weight{}, cpu_quota{}, tasks_max{}, io_weight{};
    std::optional<std::string> oomd_swap{}, oomd_pressure{}, oomd_limit{}, oomd_preference{}; // systemd-oomd's
};

/// What the payload's standard output and error are.
enum class Output { journal, pipe };

struct UnitSpec {
    static constexpr std::uint64_t infinity = UINT64_MAX;

    std::string name{};
    std::optional<std::string> rootfs{}; // exactly one of the three; absolute
    std::optional<std::string> bundle{};
    std::optional<std::string> image{};                   // "name[:tag][@digest]", or a digest
    std::vector<std::string> command{};                   // empty: the bundle's or the image's
    std::optional<std::vector<std::string>> entrypoint{}; // before the command; with an image only
    Volatile forgets{Volatile::no};                       // with an image only
    std::optional<std::uint64_t> disk_max{};              // bytes, of what it writes to its image
    std::optional<std::string> user{};                    // "name", "uid", "uid:gid", "name:group" ...
    std::optional<std::string> working_directory{};
    std::optional<std::string> hostname{};
    std::map<std::string, std::string> environment{};
    std::optional<bool> read_only{};
    std::optional<Network> network{};
    std::optional<PrivateUsers> private_users{}; // not with a bundle, which says it itself
    std::optional<bool> no_new_privileges{};
    std::optional<std::vector<std::string>> capabilities{}; // "CAP_..." each
    std::vector<MountSpec> mounts{};
    std::optional<std::string> seccomp{}; // "default", "unconfined" or an absolute path
    std::optional<std::string> description{};
    std::string stop_signal{"SIGTERM"};
    std::uint64_t stop_timeout_us{10'000'000}; // infinite: infinity
    std::uint64_t ready_timeout_us{30'000'000};
    std::optional<Start> start{};  // see start_of()
    std::string restart{"no"};     // a value of systemd's Restart=
    std::optional<bool> systemd{}; // see runs_systemd()
    std::optional<bool> machine_shell{};
    std::optional<bool> notify{};                     // see awaits_word()
    std::map<std::string, std::string> credentials{}; // absolute paths of files of the host, by the credentials' names
    LinkJournal link_journal{LinkJournal::no};        // with a systemd in the container only
    bool terminal{false};           // the program's first three descriptors are a terminal, which others attach to
    bool init{false};               // ctr-init is PID 1, the payload its child
    std::optional<Output> output{}; // see pipes_output()
    Standby standby{Standby::stopped};
    std::uint64_t idle_timeout_us{infinity};          // then it goes back to its standby
    std::optional<std::uint32_t> idle_cpu_permille{}; // of one processor: above it, it is not idle
    IdleStop idle_stop{IdleStop::lossless};
    bool reclaim_memory{false}; // of a frozen one
    std::uint64_t max_lifetime_us{infinity};
    std::optional<std::uint32_t> warm_pool{}; // with `accept`: containers that wait for a connection
    std::vector<SocketSpec> sockets{};
    std::vector<TriggerSpec> triggers{};
    bool survives_soft_reboot{false};
    std::optional<std::string> slice{}; // a slice below machine.slice, with its suffix
    ResourceSpec resources{};

    /// Where each key was written ("user", "socket.0.listen"); empty for an ad-hoc container.
    std::map<std::string, Location> origins{};
};

/// The declared start, or "connection" with sockets and "boot" without; "boot" where something is to stand by.
Start start_of(const UnitSpec& spec);
/// Whether something in time, or something in the file system, starts it.
bool has_triggers(const UnitSpec& spec, bool timers);
/// "it is 'daily'"
std::string describe(const TriggerSpec& trigger);
/// Whether each connection has a container of its own.
bool accepts(const UnitSpec& spec);
/// How many of them there may be at once.
std::uint32_t most_connections(const UnitSpec& spec);
/// Whether the payload's PID 1 is a systemd: as declared, or because of the command's name. It then gets what systemd
/// expects of a container manager.
bool runs_systemd(const UnitSpec& spec);
/// Whether ctrd answers machined's calls for a shell: as declared, or because nobody else is there to do it.
bool has_machine_shell(const UnitSpec& spec);
/// Whether it is ready when the payload says so (sd_notify(3)): as declared, or because it is a systemd.
bool awaits_word(const UnitSpec& spec);
/// Whether standard output and error are a pipe that ctrd reads: as declared, or because an image's programs may open
/// /dev/stdout and /dev/stderr, as those of most images do. A socket, such as the journal's, can't be opened.
bool pipes_output(const UnitSpec& spec);
/// What it is made of: the image's name, or the folder as it was written.
const std::string& source_of(const UnitSpec& spec);
/// The key that says so.
const char* source_key(const UnitSpec& spec);
/// Where `key` was written, else where the container's main file begins.
Location origin_of(const UnitSpec& spec, const std::string& key);

} // namespace ctrd::config

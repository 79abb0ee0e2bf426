// What ctr-oci remembers of a container between its commands: one folder per container below a root that only its owner
// may enter. The record says what was asked for; whether the process lives is asked of the kernel each time.
//
//     <root>/<id>/record.json   written whole or not at all
//     <root>/<id>/config.json   the configuration as it was at create
//     <root>/<id>/start.sock    there from create until start
//     <root>/<id>/exec          what `exec` needs of config.json, made by the first one
#pragma once

#include "ctrd/base/fd.hpp"

#include <sys/types.h>

#include <cstdint>
#include <map>

namespace ctrd::store {

enum class Status { creating, created, running, paused, stopped };
std::string_view to_string(Status status);

struct Record {
    std::string id{};
    std::string version{};
    std::string bundle{};
    std::string rootfs{};
    std::string created{}; // RFC 3339
    std::string owner{};
    std::string cgroup{};       // absolute folder; load() leaves it out when another's has its name by now
    std::uint64_t cgroup_id{0}; // its inode number, which the kernel gives once; 0: unknown
    bool cgroup_is_ours{false}; // made by us: removed by us. A scope is the service manager's.
    bool new_keyring{true};     // its processes have session keyrings of their own
    pid_t pid{0};
    std::uint64_t start_time{0}; // with the pid it names one process for good
    std::map<std::string, std::string> annotations{};
    std::string rdt_folder{}; // a resctrl group of its own; removed with it
    bool has_poststop{false}; // hooks in config.json that `delete` runs
};

class Records {
public:
    /// $XDG_RUNTIME_DIR/ctr-oci without root, /run/ctr-oci with.
    static std::string default_root();
    explicit Records(std::string root) : root_{std::move(root)} {}

    /// Takes the id: EEXIST if it is in use.
    Result<void> reserve(const std::string& id) const;
    Result<void> save(const Record& record) const;
    /// The configuration, once, before a record says that there is a process.
    Result<void> keep_config(const std::string& id, std::string_view text) const;
    Result<Record> load(const std::string& id) const;
    Result<void> remove(const std::string& id) const;
    [[nodiscard]] std::vector<std::string> ids() const;
    [[nodiscard]] std::string folder(const std::string& id) const { return root_ + "/" + id; }

    [[nodiscard]] Status status(const Record& record) const;

private:
    std::string root_;
};

/// The inode number of a cgroup's folder; 0: there is none.
std::uint64_t cgroup_id(const std::string& folder);

/// Whether the recorded process still exists and is no zombie.
bool is_alive(const Record& record);

} // namespace ctrd::store

#include "tools/ctr-run/unit.hpp"

#include "ctrd/activation/late_bind.hpp"
#include "ctrd/base/file.hpp"
#include "ctrd/base/process.hpp"
#include "ctrd/runtime/cgroup.hpp"

#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>

namespace ctrd::run {

namespace {

using namespace std::chrono_literals;
constexpr std::chrono::milliseconds least_patience = 10s;
constexpr const char* own_folder = "/supervisor"; // beside the payload's

/// An instance of ctr-NAME@.service, whose own name is the connection's.
bool is_connection_of(std::string_view unit, const std::string& container) {
    unit.remove_prefix(unit.rfind('/') + 1);
    return unit.starts_with("ctr-" + container + "@");
}

/// Where OOMPolicy=kill has marked the unit's cgroup. systemd-oomd does not look at the mark of the cgroup that it was
/// told of, only at those below, and at none without the memory controller: with neither it finds nothing to kill. The
/// controllers of a cgroup with processes can't be passed on, so we move out of it first.
Result<void> pass_memory_on(const UnitCgroup& cgroup) {
    const auto as_a_whole = read_file(cgroup.unit_folder() + "/memory.oom.group");
    if (!as_a_whole || !as_a_whole->starts_with('1'))
        return {};
    const std::string own = cgroup.unit_folder() + own_folder;
    if (::mkdir(own.c_str(), 0755) < 0 && errno != EEXIST)
        return fail(os_error(errno, "cannot make the cgroup '" + own + "'"));
    TRY_VOID(write_control(own + "/cgroup.procs", "0"));
    TRY_VOID(write_control(cgroup.unit_folder() + "/cgroup.subtree_control", "+memory")
                 .context("the memory controller for the payload, which systemd-oomd needs"));
    return write_control(cgroup.payload_folder() + "/memory.oom.group", "1");
}

/// 0 where there is none, or no number.
std::uint64_t counter_at(const std::string& folder, const char* mark) {
    char value[32];
    std::uint64_t number = 0;
    const ssize_t size = ::getxattr(folder.c_str(), mark, value, sizeof value);
    if (size <= 0 || std::from_chars(value, value + size, number).ptr != value + size)
        return 0;
    return number;
}

Result<void> make_folder(const UnitCgroup& cgroup) {
    const std::string folder = cgroup.payload_folder();
    if (::mkdir(folder.c_str(), 0755) == 0)
        return {};
    if (errno == EEXIST) {
        TRY_VOID(remove_payload_cgroup(cgroup));
        if (::mkdir(folder.c_str(), 0755) == 0)
            return {};
    }
    return fail(os_error(errno, "cannot make the cgroup '" + folder + "'"));
}

} // namespace

Result<UnitCgroup> unit_cgroup(const std::string& container) {
    UnitCgroup cgroup{TRY(cgroup_mount()), TRY(cgroup_of(::getpid())), {}};
    // systemd starts ExecStop= and ExecStopPost= of a delegated unit in a folder of its own.
    if (cgroup.unit.ends_with("/.control") || cgroup.unit.ends_with(own_folder))
        cgroup.unit.resize(cgroup.unit.rfind('/'));
    if ((activation::container_of_cgroup(cgroup.unit) != container && !is_connection_of(cgroup.unit, container)) ||
        !cgroup.unit.ends_with(".service"))
        return fail(bad_input("this process is not in the cgroup of 'ctr@" + container + ".service' but in '" +
                                  cgroup.unit + "'",
                              "ctr-run is started by systemd; use 'systemctl start ctr@" + container + ".service'"));
    cgroup.payload = cgroup.unit + "/payload";
    return cgroup;
}

void copy_survival(const std::string& from, const std::string& to) {
    for (const char* mark : {"user.survive_final_kill_signal", "trusted.survive_final_kill_signal"}) {
        char value[8];
        if (const ssize_t size = ::getxattr(from.c_str(), mark, value, sizeof value); size > 0)
            ::setxattr(to.c_str(), mark, value, static_cast<std::size_t>(size),
                       0); // refused: it is spared no more than before
    }
}

Result<void> make_payload_cgroup(const UnitCgroup& cgroup) {
    TRY_VOID(make_folder(cgroup));
    copy_survival(cgroup.unit_folder(), cgroup.payload_folder());
    return pass_memory_on(cgroup);
}

void tell_oomd_kill(const UnitCgroup& cgroup) {
    for (const char* mark : {"user.oomd_ooms", "user.oomd_kill"}) {
        const std::uint64_t number = counter_at(cgroup.payload_folder(), mark);
        if (number == 0 || counter_at(cgroup.unit_folder(), mark) >= number)
            continue;
        const std::string value = std::to_string(number);
        ::setxattr(cgroup.unit_folder().c_str(), mark, value.data(), value.size(), 0); // refused: the end is a signal's
    }
}

Result<void> delegate_payload_cgroup(const UnitCgroup& cgroup, uid_t uid, gid_t gid) {
    for (const char* file : {"", "/cgroup.procs", "/cgroup.threads", "/cgroup.subtree_control"})
        if (const std::string path = cgroup.payload_folder() + file; ::lchown(path.c_str(), uid, gid) < 0)
            return fail(os_error(errno, "cannot set the owner of '" + path + "'"));
    return {};
}

Result<void> remove_payload_cgroup(const UnitCgroup& cgroup) {
    const std::string folder = cgroup.payload_folder();
    auto killed = runtime::kill_cgroup(folder);
    if (!killed && killed.error().code == std::errc::no_such_file_or_directory)
        return {};
    TRY_VOID(std::move(killed));
    return runtime::remove_cgroup(folder);
}

Result<void> tell_main_pid(const Notifier& manager, pid_t leader, std::chrono::milliseconds patience) {
    TRY_VOID(manager.send("MAINPID=" + std::to_string(leader)));
    return manager.barrier(std::max(patience, least_patience));
}

} // namespace ctrd::run

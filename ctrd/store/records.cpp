#include "ctrd/store/records.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"
#include "ctrd/base/process.hpp"

#include <nlohmann/json.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

namespace ctrd::store {
namespace {

using Json = nlohmann::json;

struct CloseDir {
    void operator()(DIR* dir) const { ::closedir(dir); }
};

Result<void> check_id(const std::string& id) {
    if (is_container_id(id))
        return {};
    return fail(bad_input("'" + id + "' is not a container id", "use letters, digits and '_', '+', '-', '.'"));
}

bool is_frozen(const std::string& cgroup) {
    const auto events = read_file(cgroup + "/cgroup.events");
    return events && events->find("frozen 1") != std::string::npos;
}

} // namespace

std::uint64_t cgroup_id(const std::string& folder) {
    struct stat st {};
    return !folder.empty() && ::stat(folder.c_str(), &st) == 0 ? st.st_ino : 0;
}

std::string_view to_string(Status status) {
    switch (status) {
    case Status::creating:
        return "creating";
    case Status::created:
        return "created";
    case Status::running:
        return "running";
    case Status::paused:
        return "paused";
    case Status::stopped:
        return "stopped";
    }
    return "unknown";
}

std::string Records::default_root() {
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    return runtime == nullptr || is_host_root() ? "/run/ctr-oci" : std::string{runtime} + "/ctr-oci";
}

Result<void> Records::reserve(const std::string& id) const {
    TRY_VOID(check_id(id));
    TRY_VOID(make_dirs(root_, 0700));
    if (::mkdir(folder(id).c_str(), 0700) == 0)
        return {};
    if (errno == EEXIST)
        return fail(Error{std::errc::file_exists, "a container with the id '" + id + "' exists already",
                          "remove it by 'delete " + id + "', or take another id"});
    return fail(os_error(errno, "cannot make '" + folder(id) + "'"));
}

Result<void> Records::save(const Record& record) const {
    const Json json{{"id", record.id},
                    {"version", record.version},
                    {"bundle", record.bundle},
                    {"rootfs", record.rootfs},
                    {"created", record.created},
                    {"owner", record.owner},
                    {"cgroup", record.cgroup},
                    {"cgroup_is_ours", record.cgroup_is_ours},
                    {"cgroup_id", record.cgroup_id},
                    {"new_keyring", record.new_keyring},
                    {"pid", record.pid},
                    {"start_time", record.start_time},
                    {"annotations", record.annotations},
                    {"rdt_folder", record.rdt_folder},
                    {"has_poststop", record.has_poststop}};
    return write_atomic(folder(record.id) + "/record.json", json.dump(), 0600);
}

Result<void> Records::keep_config(const std::string& id, std::string_view text) const {
    const std::string path = folder(id) + "/config.json";
    const UniqueFd fd = TRY(open_at(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    return write_all(fd.get(), text).context("'" + path + "'");
}

Result<Record> Records::load(const std::string& id) const {
    TRY_VOID(check_id(id));
    auto text = read_file(folder(id) + "/record.json");
    if (!text && text.error().code == std::errc::no_such_file_or_directory) {
        if (::access(folder(id).c_str(), F_OK) == 0) {
            Record record; // reserved, and its creator is at work or died
            record.id = id;
            return record;
        }
        return fail(Error{std::errc::no_such_file_or_directory, "container '" + id + "' does not exist",
                          "'list' shows those that are there"});
    }
    const Json json = Json::parse(TRY(std::move(text)), nullptr, false);
    if (!json.is_object())
        return fail(bad_input("the record of container '" + id + "' is damaged: '" + folder(id) + "/record.json'"));
    Record record;
    try { // a member of the wrong type: not written by us
        record.id = json.value("id", id);
        record.version = json.value("version", "");
        record.bundle = json.value("bundle", "");
        record.rootfs = json.value("rootfs", "");
        record.created = json.value("created", "");
        record.owner = json.value("owner", "");
        record.cgroup = json.value("cgroup", "");
        record.cgroup_is_ours = json.value("cgroup_is_ours", false);
        record.cgroup_id = json.value("cgroup_id", std::uint64_t{0});
        record.new_keyring = json.value("new_keyring", true);
        record.pid = json.value("pid", 0);
        record.start_time = json.value("start_time", std::uint64_t{0});
        record.rdt_folder = json.value("rdt_folder", "");
        record.has_poststop = json.value("has_poststop", false);
        record.annotations = json.value("annotations", std::map<std::string, std::string>{});
    } catch (const Json::exception&) {
        return fail(bad_input("the record of container '" + id + "' is damaged: '" + folder(id) + "/record.json'"));
    }
    if (const auto id_now = cgroup_id(record.cgroup);
        id_now != 0 && record.cgroup_id != 0 && id_now != record.cgroup_id)
        record.cgroup.clear();
    return record;
}

Result<void> Records::remove(const std::string& id) const {
    TRY_VOID(check_id(id));
    const std::string path = folder(id);
    for (const char* name : {"/record.json", "/config.json", "/exec", "/start.sock"})
        ::unlink((path + name).c_str());
    if (::rmdir(path.c_str()) == 0 || errno == ENOENT)
        return {};
    const std::unique_ptr<DIR, CloseDir> dir{::opendir(path.c_str())}; // what a writer left that was killed
    while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr)
        if (std::string_view name = entry->d_name; name != "." && name != "..")
            ::unlinkat(::dirfd(dir.get()), entry->d_name, 0);
    if (::rmdir(path.c_str()) < 0 && errno != ENOENT)
        return fail(os_error(errno, "cannot remove '" + path + "'"));
    return {};
}

std::vector<std::string> Records::ids() const {
    std::vector<std::string> result;
    const std::unique_ptr<DIR, CloseDir> dir{::opendir(root_.c_str())};
    while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr)
        if (entry->d_type == DT_DIR && is_container_id(entry->d_name))
            result.emplace_back(entry->d_name);
    std::ranges::sort(result);
    return result;
}

bool is_alive(const Record& record) {
    if (record.pid <= 0)
        return false;
    const auto stat = process_stat(record.pid);
    return stat && stat->start_time == record.start_time && stat->state != 'Z' && stat->state != 'X';
}

Status Records::status(const Record& record) const {
    if (record.pid == 0)
        return Status::creating;
    if (!is_alive(record))
        return Status::stopped;
    if (is_frozen(record.cgroup))
        return Status::paused;
    return ::access((folder(record.id) + "/start.sock").c_str(), F_OK) == 0 ? Status::created : Status::running;
}

} // namespace ctrd::store

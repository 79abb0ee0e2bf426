#include "ctrd/activation/record.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/names.hpp"

#include <nlohmann/json.hpp>

#include <unistd.h>

#include <cerrno>

namespace ctrd::activation {
namespace {

constexpr const char* record_folder = "/run/ctrd/run";
constexpr std::size_t largest_record = 1U << 20;

nlohmann::json to_value(const RecordedSocket& socket) {
    return {{"name", socket.name}, {"deliver", socket.deliver},     {"inode", socket.inode}, {"family", socket.family},
            {"port", socket.port}, {"host_port", socket.host_port}, {"type", socket.type},   {"path", socket.path}};
}

RecordedSocket to_socket(const nlohmann::json& value) {
    return {value.at("name").get<std::string>(),    value.at("deliver").get<std::string>(),
            value.at("inode").get<std::uint64_t>(), value.at("family").get<int>(),
            value.at("port").get<std::uint16_t>(),  value.value("host_port", std::uint16_t{0}),
            value.value("type", int{SOCK_STREAM}),  value.value("path", std::string{})};
}

} // namespace

std::string record_path(std::string_view container) {
    return std::string{record_folder} + "/" + std::string{container} + ".json";
}

std::string to_json(const RunRecord& record) {
    nlohmann::json sockets = nlohmann::json::array();
    for (const RecordedSocket& socket : record.sockets)
        sockets.push_back(to_value(socket));
    nlohmann::json value{{"name", record.name},
                         {"leader", record.leader},
                         {"leader_start", record.leader_start},
                         {"cgroup", record.cgroup},
                         {"sockets", std::move(sockets)},
                         {"phase", record.phase},
                         {"socket_cgroup", record.socket_cgroup}};
    if (record.terminal != 0)
        value["terminal"] = record.terminal;
    if (record.output != 0)
        value["output"] = record.output;
    return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Result<RunRecord> parse_record(std::string_view json) {
    try {
        const auto value = nlohmann::json::parse(json);
        RunRecord record{value.at("name").get<std::string>(),
                         value.at("leader").get<pid_t>(),
                         value.at("leader_start").get<std::uint64_t>(),
                         value.at("cgroup").get<std::string>(),
                         {},
                         value.value("phase", std::string{"running"}),
                         value.value("socket_cgroup", std::uint64_t{0}),
                         value.value("terminal", std::uint64_t{0}),
                         value.value("output", std::uint64_t{0})};
        for (const auto& socket : value.at("sockets"))
            record.sockets.push_back(to_socket(socket));
        return record;
    } catch (const nlohmann::json::exception& error) {
        return fail(bad_input("not a run record: " + std::string{error.what()}));
    }
}

Result<void> write_record(const RunRecord& record) {
    TRY_VOID(check_container_name(record.name));
    const std::string path = record_path(record.name);
    auto written = write_atomic(path, to_json(record), 0600);
    if (written || written.error().code != std::errc::no_such_file_or_directory)
        return written;
    TRY_VOID(make_dirs(record_folder, 0700));
    return write_atomic(path, to_json(record), 0600);
}

Result<RunRecord> read_record(std::string_view container) {
    TRY_VOID(check_container_name(container));
    const std::string path = record_path(container);
    const std::string text = TRY(read_file(path, largest_record));
    return parse_record(text).context("'" + path + "'");
}

Result<void> remove_record(std::string_view container) {
    TRY_VOID(check_container_name(container));
    const std::string path = record_path(container);
    if (::unlink(path.c_str()) < 0 && errno != ENOENT)
        return fail(os_error(errno, "cannot remove '" + path + "'"));
    return {};
}

} // namespace ctrd::activation

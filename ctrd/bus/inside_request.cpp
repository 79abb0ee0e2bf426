#include "ctrd/bus/inside_request.hpp"

#include "ctrd/bus/options.hpp"

#include <nlohmann/json.hpp>

namespace ctrd::bus {
namespace {

constexpr std::size_t longest_path = 4095;

Result<void> check_path(const char* what, const std::string& path) {
    if (!path.starts_with('/') || path.size() > longest_path)
        return fail(bad_input(std::string{what} + " '" + printable(path) + "' is not an absolute path"));
    return {};
}

nlohmann::json base_of(pid_t leader, std::uint64_t leader_start) {
    return {{"leader", leader}, {"leader_start", leader_start}};
}

std::string dump(const nlohmann::json& value) {
    return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

} // namespace

Result<CopyRequest> read_copy_to(sd_bus_message* call) {
    CopyRequest request;
    const char* path = nullptr;
    if (sd_bus_message_read(call, "sh", &path, &request.data) < 0)
        return fail(bad_input("malformed arguments"));
    request.path = path;
    TRY_VOID(read_options(call, "there are Name, Single and Mode", [&](std::string_view option) {
        return option == "Single" ? read_bool(call, request.single)
               : option == "Mode" ? sd_bus_message_read(call, "v", "u", &request.mode)
               : option == "Name" ? read_text(call, request.name)
                                  : -ENOENT;
    }));
    TRY_VOID(check_path("path", request.path));
    if (request.name.contains('/') || request.name == "." || request.name == ".." || request.name.size() > 255)
        return fail(bad_input("name '" + printable(request.name) + "' is not one of a file"));
    if ((request.mode & ~0777U) != 0)
        return fail(bad_input("the mode is more than permissions", "0 to 0777"));
    return request;
}

Result<CopyRequest> read_copy_from(sd_bus_message* call) {
    CopyRequest request;
    const char* path = nullptr;
    if (sd_bus_message_read(call, "sh", &path, &request.data) < 0)
        return fail(bad_input("malformed arguments"));
    request.path = path;
    TRY_VOID(check_path("path", request.path));
    return request;
}

Result<BindRequest> read_bind(sd_bus_message* call) {
    BindRequest request;
    const char *source = nullptr, *target = nullptr;
    if (sd_bus_message_read(call, "ss", &source, &target) < 0)
        return fail(bad_input("malformed arguments"));
    request.source = source;
    request.target = target;
    TRY_VOID(read_options(call, "there are ReadOnly and MakeTarget", [&](std::string_view option) {
        return option == "ReadOnly"     ? read_bool(call, request.read_only)
               : option == "MakeTarget" ? read_bool(call, request.make_target)
                                        : -ENOENT;
    }));
    TRY_VOID(check_path("source", request.source));
    TRY_VOID(check_path("target", request.target));
    return request;
}

std::string to_json(const CopyRequest& request, pid_t leader, std::uint64_t leader_start) {
    auto json = base_of(leader, leader_start);
    json.update({{"path", request.path}, {"name", request.name}, {"single", request.single}, {"mode", request.mode}});
    return dump(json);
}

std::string to_json(const BindRequest& request, pid_t leader, std::uint64_t leader_start) {
    auto json = base_of(leader, leader_start);
    json.update({{"source", request.source},
                 {"target", request.target},
                 {"read_only", request.read_only},
                 {"make_target", request.make_target}});
    return dump(json);
}

} // namespace ctrd::bus

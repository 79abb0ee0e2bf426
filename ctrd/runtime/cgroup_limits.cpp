#include "ctrd/runtime/cgroup.hpp"

#include "ctrd/base/file.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <charconv>

namespace ctrd::runtime {
namespace {

bool is_missing(const Error& error) { return error.code == std::errc::no_such_file_or_directory; }

Result<void> write_one(const std::string& folder, const oci::Control& control) {
    auto written = write_control(folder + "/" + control.file, control.value);
    if (!written && is_missing(written.error()) && !control.other_file.empty())
        written = write_control(folder + "/" + control.other_file, control.other_value);
    if (written || (control.optional && is_missing(written.error())))
        return {};
    if (!is_missing(written.error()))
        return std::move(written).context("linux.resources");
    const std::string controller = control.file.substr(0, control.file.find('.'));
    const auto controllers = read_file(folder + "/cgroup.controllers");
    if (controllers && (" " + *controllers).find(" " + controller) != std::string::npos)
        return fail(Error{
            std::errc::not_supported,
            fmt::format("linux.resources: the {} controller of this kernel has no '{}'", controller, control.file),
            ""});
    return fail(Error{std::errc::not_supported,
                      fmt::format("linux.resources: '{}' can't be limited: the cgroup '{}' has no {} controller",
                                  control.file, folder, controller),
                      "see cgroup.controllers there; the host may have bound the controller to cgroup v1"});
}

/// A number, or -1 for "max".
std::optional<std::int64_t> read_number(const std::string& path) {
    const auto text = read_file(path);
    std::int64_t value = 0;
    if (!text)
        return std::nullopt;
    if (text->starts_with("max"))
        return -1;
    const auto parsed = std::from_chars(text->data(), text->data() + text->size(), value);
    return parsed.ec == std::errc{} ? std::optional{value} : std::nullopt;
}

} // namespace

Result<void> apply_controls(const std::string& folder, const std::vector<oci::Control>& controls) {
    // A burst may be larger than the quota of before, a quota smaller than the burst of before: the second one then
    // goes through once the first has.
    std::vector<const oci::Control*> again;
    for (const auto& control : controls)
        if (auto written = write_one(folder, control); !written) {
            if (written.error().code != std::errc::invalid_argument || !control.file.starts_with("cpu.max"))
                return written;
            again.push_back(&control);
        }
    for (const oci::Control* control : again)
        TRY_VOID(write_one(folder, *control));
    return {};
}

Result<void> apply_resources(const std::string& folder, const oci::Resources& resources) {
    return apply_controls(folder, TRY(oci::controls(resources)));
}

oci::CurrentLimits current_limits(const std::string& folder) {
    oci::CurrentLimits limits;
    limits.memory = read_number(folder + "/memory.max");
    limits.swap = read_number(folder + "/memory.swap.max");
    limits.quota = read_number(folder + "/cpu.max");
    if (const auto text = read_file(folder + "/cpu.max"))
        if (const auto space = text->find(' '); space != std::string::npos) {
            std::uint64_t period = 0;
            if (std::from_chars(text->data() + space + 1, text->data() + text->size(), period).ec == std::errc{})
                limits.period = period;
        }
    return limits;
}

Result<void> check_memory_usage(const std::string& folder, const oci::Memory& memory) {
    if (!memory.check_before_update)
        return {};
    const auto used = read_number(folder + "/memory.current");
    if (!used)
        return {};
    if (memory.limit.value_or(-1) >= 0 && *memory.limit < *used)
        return fail(bad_input(fmt::format("rejecting memory limit {}: {} are used already", *memory.limit, *used)));
    if (memory.swap.value_or(-1) >= 0 && *memory.swap < *used)
        return fail(bad_input(fmt::format("rejecting memory+swap limit {}: {} are used already", *memory.swap, *used)));
    return {};
}

} // namespace ctrd::runtime

#include "tools/ctr-oci/exec_base.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/oci/parse.hpp"

#include <nlohmann/json.hpp>

#include <cstring>

namespace ctrd::ctr_oci {
namespace {

using Json = nlohmann::json;

constexpr std::size_t largest = 2 * oci::max_config_size;

/// Then a configuration that is cut down to what matters here, then the program.
struct Header {
    char magic[8]{'c', 't', 'r', 'e', 'x', 'e', 'c', '2'};
    std::uint32_t config_size{0};
    std::uint32_t instructions{0};
    std::uint32_t flags{0};
    std::uint32_t has_filter{0};
};

std::optional<ExecBase> read_cached(const std::string& path) {
    const auto text = read_file(path, largest);
    const Header expected;
    Header header;
    if (!text || text->size() < sizeof header)
        return std::nullopt;
    std::memcpy(&header, text->data(), sizeof header);
    const std::size_t program_size = header.instructions * sizeof(sock_filter);
    if (std::memcmp(header.magic, expected.magic, sizeof header.magic) != 0 ||
        text->size() != sizeof header + header.config_size + program_size)
        return std::nullopt;
    auto spec = oci::parse({text->data() + sizeof header, header.config_size});
    if (!spec)
        return std::nullopt;
    ExecBase base{std::move(*spec), {}};
    if (header.has_filter != 0) {
        auto& filter = base.seccomp.emplace();
        filter.flags = header.flags;
        filter.program.resize(header.instructions);
        std::memcpy(filter.program.data(), text->data() + sizeof header + header.config_size, program_size);
    }
    return base;
}

/// The listener of a profile is needed still, its rules are not.
std::string cut_down(const Json& config) {
    Json result = Json::object();
    for (const char* key : {"ociVersion", "process", "annotations"})
        if (config.contains(key))
            result[key] = config[key];
    result["root"]["path"] = "/";
    const Json linux_object = config.value("linux", Json::object());
    for (const char* key : {"personality", "memoryPolicy", "intelRdt", "seccomp"})
        if (linux_object.contains(key))
            result["linux"][key] = linux_object[key];
    if (result.contains("linux") && result["linux"].contains("seccomp"))
        result["linux"]["seccomp"].erase("syscalls");
    return result.dump();
}

std::string to_text(const std::string& config, const std::optional<runtime::SeccompFilter>& filter) {
    Header header;
    header.config_size = static_cast<std::uint32_t>(config.size());
    header.has_filter = filter ? 1 : 0;
    header.flags = filter ? filter->flags : 0;
    header.instructions = filter ? static_cast<std::uint32_t>(filter->program.size()) : 0;
    std::string text{reinterpret_cast<const char*>(&header), sizeof header};
    text += config;
    if (filter)
        text.append(reinterpret_cast<const char*>(filter->program.data()),
                    filter->program.size() * sizeof(sock_filter));
    return text;
}

} // namespace

Result<ExecBase> load_exec_base(const std::string& folder) {
    const std::string cache = folder + "/exec";
    if (auto base = read_cached(cache))
        return std::move(*base);
    const std::string path = folder + "/config.json";
    const std::string text = TRY(read_file(path, oci::max_config_size));
    ExecBase base{TRY(oci::parse(text).context("'" + path + "'")), {}};
    if (!base.spec.process)
        return fail(bad_input("'" + path + "' has no process"));
    if (base.spec.seccomp)
        base.seccomp = TRY(runtime::cached_seccomp(*base.spec.seccomp, runtime::seccomp_cache_folder()));
    const std::string config = cut_down(Json::parse(text)); // parsed above: it throws nothing
    [[maybe_unused]] auto written = write_atomic(cache, to_text(config, base.seccomp), 0600);
    return base;
}

} // namespace ctrd::ctr_oci

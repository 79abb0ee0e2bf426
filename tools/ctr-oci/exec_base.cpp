#include "tools/ctr-oci/exec_base.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/oci/parse.hpp"

#include <nlohmann/json.hpp>

#include <cstring>

namespace ctrd::ctr_oci {
namespace {

constexpr std::size_t largest = 2 * oci::max_config_size;

/// Then the process as JSON, then the program.
struct Header {
    char magic[8]{'c', 't', 'r', 'e', 'x', 'e', 'c', '1'};
    std::uint32_t process_size{0};
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
        text->size() != sizeof header + header.process_size + program_size)
        return std::nullopt;
    auto process = oci::parse_process({text->data() + sizeof header, header.process_size});
    if (!process)
        return std::nullopt;
    ExecBase base{std::move(*process), {}, {}};
    if (header.has_filter != 0) {
        auto& filter = base.seccomp.emplace();
        filter.flags = header.flags;
        filter.program.resize(header.instructions);
        std::memcpy(filter.program.data(), text->data() + sizeof header + header.process_size, program_size);
    }
    return base;
}

std::string to_text(const std::string& process, const std::optional<runtime::SeccompFilter>& filter) {
    Header header;
    header.process_size = static_cast<std::uint32_t>(process.size());
    header.has_filter = filter ? 1 : 0;
    header.flags = filter ? filter->flags : 0;
    header.instructions = filter ? static_cast<std::uint32_t>(filter->program.size()) : 0;
    std::string text{reinterpret_cast<const char*>(&header), sizeof header};
    text += process;
    if (filter)
        text.append(reinterpret_cast<const char*>(filter->program.data()),
                    filter->program.size() * sizeof(sock_filter));
    return text;
}

bool is_more_than_a_process(const oci::Spec& spec) {
    return spec.personality || spec.memory_policy || (spec.seccomp && oci::notifies(*spec.seccomp)) ||
           spec.annotations.contains("run.oci.keep_original_groups");
}

} // namespace

Result<ExecBase> load_exec_base(const std::string& folder) {
    const std::string cache = folder + "/exec";
    if (auto base = read_cached(cache))
        return std::move(*base);
    const std::string path = folder + "/config.json";
    const std::string text = TRY(read_file(path, oci::max_config_size));
    const oci::Spec spec = TRY(oci::parse(text).context("'" + path + "'"));
    if (!spec.process)
        return fail(bad_input("'" + path + "' has no process"));
    ExecBase base{*spec.process, {}, {}};
    if (is_more_than_a_process(spec)) {
        base.common = spec;
        return base;
    }
    if (spec.seccomp)
        base.seccomp = TRY(runtime::cached_seccomp(*spec.seccomp, runtime::seccomp_cache_folder()));
    const auto document = nlohmann::json::parse(text, nullptr, false); // parsed above: it is an object with a process
    [[maybe_unused]] auto written = write_atomic(cache, to_text(document["process"].dump(), base.seccomp), 0600);
    return base;
}

} // namespace ctrd::ctr_oci

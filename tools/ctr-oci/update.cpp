// update: other limits for a container that is there already.
#include "ctrd/base/file.hpp"
#include "ctrd/oci/parse.hpp"
#include "ctrd/runtime/cgroup.hpp"
#include "ctrd/runtime/intel_rdt.hpp"
#include "tools/ctr-oci/commands.hpp"
#include "tools/ctr-oci/exec_base.hpp"
#include "tools/ctr-oci/launch.hpp"
#include "tools/ctr-oci/limits.hpp"
#include "tools/ctr-oci/log.hpp"
#include "tools/ctr-oci/scope.hpp"
#include "tools/ctr-oci/scope_properties.hpp"

namespace ctrd::ctr_oci {
namespace {

Result<std::string> read_resources(const Options& options) {
    if (options.resources_file.empty())
        return resources_of_limits(options.limits);
    if (options.resources_file == "-")
        return read_all(STDIN_FILENO, oci::max_config_size).context("--resources: stdin");
    return read_file(options.resources_file, oci::max_config_size);
}

Result<void> update_rdt(const Options& options, const std::string& folder, const std::string& id) {
    const auto schemata = schemata_of_limits(options.limits);
    if (schemata.empty())
        return {};
    for (const std::string& line : schemata)
        if (line.find('\n') != std::string::npos)
            return fail(bad_input("a schema of resctrl is one line, not '" + line + "'"));
    const ExecBase base = TRY(load_exec_base(folder));
    if (!base.spec.intel_rdt)
        return fail(Error{std::errc::not_supported,
                          "--l3-cache-schema and --mem-bw-schema: the container was created without linux.intelRdt",
                          ""});
    return runtime::change_rdt(*base.spec.intel_rdt, id, schemata);
}

} // namespace

Result<int> update(const Options& options) {
    const store::Records records = open_records(options);
    const store::Record record = TRY(records.load(options.arguments.front()));
    const auto status = records.status(record);
    if (status == store::Status::stopped || status == store::Status::creating)
        return fail(Error{std::errc::no_such_process, "container not running: '" + record.id + "'", ""});
    if (record.cgroup.empty())
        return fail(bad_input("container '" + record.id + "' has no cgroup of its own"));

    const std::string text = TRY(read_resources(options));
    const oci::Resources resources = TRY(oci::parse_resources(text, record.version).context("update"));
    warn_of_ignored(options, resources);
    const auto controls = TRY(oci::controls(resources, runtime::current_limits(record.cgroup)));
    TRY_VOID(runtime::check_memory_usage(record.cgroup, resources.memory));
    if (!record.cgroup_is_ours)
        TRY_VOID(set_scope_properties(record.cgroup, scope_properties(controls)));
    TRY_VOID(runtime::apply_controls(record.cgroup, controls));
    if (!resources.devices.empty())
        TRY_VOID(runtime::limit_devices(record.cgroup, resources.devices));
    TRY_VOID(update_rdt(options, records.folder(record.id), record.id));
    return 0;
}

} // namespace ctrd::ctr_oci

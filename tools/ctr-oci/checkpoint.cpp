// checkpoint: a running container into files.
#include "ctrd/base/process.hpp"
#include "ctrd/runtime/cgroup.hpp"
#include "tools/ctr-oci/commands.hpp"
#include "tools/ctr-oci/criu.hpp"
#include "tools/ctr-oci/criu_externals.hpp"
#include "tools/ctr-oci/launch.hpp"

#include <poll.h>

#include <cerrno>

namespace ctrd::ctr_oci {
namespace {

constexpr char log_file[] = "dump.log";

Result<store::Record> load_running(const store::Records& records, const std::string& id) {
    store::Record record = TRY(records.load(id));
    const auto status = records.status(record);
    if (status == store::Status::paused)
        return fail(
            bad_input("container '" + id + "' is paused, and CRIU freezes and thaws it itself", "resume it first"));
    if (status != store::Status::running)
        return fail(bad_input("container '" + id + "' is " + std::string{to_string(status)} + ", not running"));
    return record;
}

Result<CriuMessage> request(const Options& options, const store::Record& record, const Bundle& bundle,
                            const CriuFolders& folders) {
    CriuMessage message = criu_options(options, folders, log_file);
    message.number(2, static_cast<std::uint64_t>(record.pid)).text(13, record.rootfs);
    if (!record.cgroup.empty())
        message.text(44, record.cgroup); // frozen meanwhile: no new process escapes
    if (!options.criu.parent_path.empty())
        message.text(14, options.criu.parent_path);
    if (options.criu.pre_dump)
        message.flag(15, true); // the kernel notes what memory changes from here on
    else
        message.flag(3, options.criu.leave_running).flag(15, !options.criu.parent_path.empty());
    std::vector<std::string> externals = TRY(external_namespaces_of(record.pid, bundle.plan));
    for (const std::string& name : TRY(stream_names(record.pid)))
        if (name.starts_with("file["))
            externals.push_back(name);
    add_externals(message, externals);
    add_mounts(message, TRY(external_mounts_of(record.pid, bundle.plan)));
    return message;
}

Result<void> await_end(const store::Record& record) {
    for (int attempt = 0; store::is_alive(record); ++attempt) {
        if (attempt == 1000)
            return fail(os_error(ETIMEDOUT, "container '" + record.id + "' is saved and does not end"));
        ::poll(nullptr, 0, 10);
    }
    return {};
}

} // namespace

Result<int> checkpoint(const Options& options) {
    TRY_VOID(check_criu_options(options));
    const store::Records records = open_records(options);
    const std::string& id = options.arguments.front();
    const store::Record record = TRY(load_running(records, id));
    const auto bundle = TRY(load_bundle(records.folder(id) + "/config.json", {record.bundle, false}));
    TRY_VOID(check_restorable(bundle->spec, bundle->plan));
    const CriuFolders folders = TRY(open_criu_folders(options, ImagesAre::to_write));
    const CriuMessage message = TRY(request(options, record, *bundle, folders));
    if (!options.criu.pre_dump) {
        const std::vector<std::string> names = TRY(stream_names(record.pid));
        TRY_VOID(write_stream_names(folders.images.get(), names));
    }
    const auto nothing = [](const CriuReply&, const std::vector<UniqueFd>&) { return Result<void>{}; };
    const CriuReply reply =
        TRY(call_criu(options.criu.pre_dump ? CriuType::pre_dump : CriuType::dump, message, {}, nothing));
    if (!reply.success)
        return fail(criu_error(folders, log_file, "cannot save container '" + id + "'", reply));
    if (options.criu.pre_dump || options.criu.leave_running)
        return 0;
    TRY_VOID(await_end(record));
    TRY_VOID(dispose(records, record));
    return 0;
}

} // namespace ctrd::ctr_oci

// ctrctl: the command line. Each verb is in the file of its group; here they are only put together.
#include "tools/ctrctl/command_line.hpp"
#include "tools/ctrctl/output.hpp"

#include <algorithm>
#include <exception>

namespace {

using namespace ctrd::ctl;

struct Run {
    int operator()(const Answer& answer) const { return print(answer.text); }
    int operator()(const ListOptions& options) const { return list(options); }
    int operator()(const StatusOptions& options) const { return status(options); }
    int operator()(const ControlOptions& options) const { return control(options); }
    int operator()(const WaitOptions& options) const { return wait(options); }
    int operator()(const SetOptions& options) const { return set(options); }
    int operator()(const BindOptions& options) const { return bind(options); }
    int operator()(const CpOptions& options) const { return cp(options); }
    int operator()(const UseOptions& options) const { return use(options); }
    int operator()(const ShowOptions& options) const { return show(options); }
    int operator()(const EventsOptions& options) const { return events(options); }
    int operator()(const ExecOptions& options) const { return exec(options); }
    int operator()(const AttachOptions& options) const { return attach(options); }
    int operator()(const LogsOptions& options) const { return logs(options); }
    int operator()(const RunOptions& options) const { return run(options); }
    int operator()(const CheckOptions& options) const { return check(options); }
    int operator()(const ApplyOptions& options) const { return apply(options); }
    int operator()(const RemoveOptions& options) const { return remove(options); }
    int operator()(const RenameOptions& options) const { return rename(options); }
    int operator()(const TimingOptions& options) const { return timing(options); }
    int operator()(const ImageOptions& options) const { return image(options); }
    int operator()(const DiffOptions& options) const { return diff(options); }
    int operator()(const CommitOptions& options) const { return commit(options); }
    int operator()(const ExportOptions& options) const { return export_files(options); }
    int operator()(const LoginOptions& options) const { return log_in_or_out(options); }
};

} // namespace

int main(int argc, char** argv) {
    try {
        const auto command = parse_command_line({argv + std::min(argc, 1), argv + argc});
        return command ? std::visit(Run{}, *command) : report(command.error());
    } catch (const std::exception& error) {
        return report(exit_internal, ctrd::Error{std::errc::not_enough_memory, error.what()});
    }
}

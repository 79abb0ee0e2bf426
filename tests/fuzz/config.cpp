// Fuzz target: config.json, from its bytes to the plan and to the cgroup's files. Besides not crashing: what is
// accepted must keep the promises that the rest of the program relies on.
#include "ctrd/oci/cgroup2.hpp"
#include "ctrd/oci/parse.hpp"
#include "ctrd/plan/plan.hpp"
#include "tests/fuzz/promise.hpp"

namespace {

using namespace ctrd;

bool climbs(const std::string& path) { return ("/" + path + "/").find("/../") != std::string::npos; }

struct Promises {
    void operator()(const plan::WriteSysctl& step) const {
        fuzz::promise(!climbs(step.path) && !step.path.starts_with('/'), "a sysctl is below /proc/sys");
        fuzz::promise(step.value.find('\n') == std::string::npos, "a sysctl has one line");
    }
    void operator()(const plan::MountFs& step) const { check_destination(step.destination); }
    void operator()(const plan::BindMount& step) const { check_destination(step.destination); }
    void operator()(const auto&) const {}

    static void check_destination(const std::string& path) {
        fuzz::promise(path.starts_with('/') && path.find('\0') == std::string::npos, "a destination is a whole path");
    }
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto spec = oci::parse({reinterpret_cast<const char*>(data), size});
    if (!spec) {
        fuzz::promise(!spec.error().message.empty(), "a refusal says why");
        return 0;
    }
    const auto controls = oci::controls(spec->resources);
    if (controls)
        for (const oci::Control& control : *controls)
            fuzz::promise(control.file.find('/') == std::string::npos, "a limit is a file of the cgroup itself");
    const auto plan = plan::make_plan(*spec, {"/bundle"});
    if (!plan)
        return 0;
    for (const plan::Step& step : plan->steps)
        std::visit(Promises{}, step);
    fuzz::promise(plan->steps.empty() || !plan::describe(*plan).empty(), "a plan can be printed");
    return 0;
}

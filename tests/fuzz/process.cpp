// Fuzz target: process.json, as `exec --process` reads it.
#include "ctrd/oci/parse.hpp"
#include "ctrd/plan/plan.hpp"
#include "tests/fuzz/promise.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace ctrd;
    const auto process = oci::parse_process({reinterpret_cast<const char*>(data), size});
    if (!process) {
        fuzz::promise(!process.error().message.empty(), "a refusal says why");
        return 0;
    }
    fuzz::promise(!process->args.empty() && !process->args.front().empty(), "a process has a program");
    fuzz::promise(process->cwd.starts_with('/'), "a working directory is absolute");
    for (const std::string& entry : process->env)
        fuzz::promise(entry.find('=') != std::string::npos && entry.find('\0') == std::string::npos,
                      "a variable has a name and ends where it ends");
    for (const std::string& argument : process->args)
        fuzz::promise(argument.find('\0') == std::string::npos, "an argument ends where it ends");
    const auto plan = plan::make_process_plan(*process, oci::Spec{});
    if (plan)
        fuzz::promise(!plan->candidates.empty(), "a program has a place to be looked for");
    return 0;
}

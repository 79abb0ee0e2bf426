#include "ctrd/oci/parse_hooks.hpp"

namespace ctrd::oci {
namespace {

Result<void> read_kind(const Reader& hooks, const char* key, std::vector<Hook>& result) {
    for (const Reader& in : TRY(hooks.objects(key))) {
        Hook hook;
        hook.path = TRY(in.required_string("path"));
        if (hook.path.front() != '/')
            return fail(bad_input(in.at("path") + " is not an absolute path: '" + hook.path + "'"));
        hook.args = TRY(in.strings("args"));
        hook.env = TRY(in.strings("env"));
        hook.timeout_seconds = TRY(in.integer<std::uint32_t>("timeout"));
        if (hook.timeout_seconds && *hook.timeout_seconds == 0)
            return fail(bad_input(in.at("timeout") + " is 0", "leave it out to wait as long as it takes"));
        result.push_back(std::move(hook));
    }
    return {};
}

} // namespace

Result<Hooks> read_hooks(const Reader& top) {
    Hooks result;
    const auto hooks = TRY(top.object("hooks"));
    if (!hooks)
        return result;
    TRY_VOID(read_kind(*hooks, "prestart", result.create_runtime));
    TRY_VOID(read_kind(*hooks, "createRuntime", result.create_runtime));
    TRY_VOID(read_kind(*hooks, "createContainer", result.create_container));
    TRY_VOID(read_kind(*hooks, "startContainer", result.start_container));
    TRY_VOID(read_kind(*hooks, "poststart", result.poststart));
    TRY_VOID(read_kind(*hooks, "poststop", result.poststop));
    return result;
}

} // namespace ctrd::oci

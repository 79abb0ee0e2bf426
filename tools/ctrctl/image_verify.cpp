// verify: documents and blobs by their digests, and what containers run from by a worker that unpacks it anew.
#include "tools/ctrctl/image_bring.hpp"
#include "tools/ctrctl/image_verbs.hpp"
#include "tools/ctrctl/image_worker.hpp"
#include "tools/ctrctl/output.hpp"

#include "ctrd/image/gc.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace ctrd::ctl {
namespace {

using Problems = std::vector<image::Problem>;

Result<void> verify_layer(const image::Store& store, const image::Image& whole, std::size_t at) {
    const UniqueFd layer = TRY(store.open_layer(whole.chain[at]));
    imaging::Request request;
    request.verb = "verify";
    request.base = whole.descriptor.digest;
    request.layer = static_cast<std::uint32_t>(at);
    const int given[] = {layer.get()};
    TRY(run_image_worker(request, store, given, {}));
    return {};
}

/// Of images whose blobs are whole: the others have a problem already. A signal ends it.
Result<void> verify_layers(const image::Store& store, Problems& problems) {
    const UniqueFd lock = TRY(store.lock_shared());
    const auto tags = TRY(store.tags());
    std::set<image::Digest> seen;
    for (const image::Tag& tag : tags) {
        const auto whole = store.load(tag.manifest);
        if (!whole || std::ranges::any_of(problems, [&](const auto& one) { return one.what == tag.name; }))
            continue;
        for (std::size_t i = 0; i < whole->chain.size(); ++i) {
            if (!seen.insert(whole->chain[i]).second)
                continue;
            auto good = verify_layer(store, *whole, i);
            if (!good && good.error().code == std::errc::interrupted)
                return good;
            if (!good)
                problems.push_back(
                    {tag.name, fmt::format("layer {} of {}: {}", i + 1, whole->chain.size(), good.error().message)});
        }
    }
    return {};
}

Result<Problems> verify_all(const image::Store& store) {
    Problems problems = TRY(image::verify(store));
    TRY_VOID(verify_layers(store, problems));
    return problems;
}

} // namespace

int image_verify(const ImageOptions& options) {
    const auto store = open_store(options, true);
    if (!store)
        return report(store.error());
    auto problems = verify_all(*store);
    if (!problems)
        return report_brought(std::move(problems).error());
    const int code = problems->empty() ? exit_ok : exit_failure;
    if (const Json json = json_of(options.json); json != Json::off) {
        auto array = nlohmann::json::array();
        for (const auto& problem : *problems)
            array.push_back({{"what", problem.what}, {"message", problem.message}});
        const int printed = print(json_text(array, json));
        return code != exit_ok ? code : printed;
    }
    for (const auto& problem : *problems) {
        const bool is_layer = problem.message.starts_with("layer ");
        report(exit_failure,
               bad_input("'" + printable(problem.what) + "': " + printable(problem.message),
                         is_layer ? "'ctrctl image rm' all names that have it, 'ctrctl image prune', and load or pull "
                                    "it again: what is there is not replaced"
                                  : "load or pull it again"));
    }
    return code;
}

} // namespace ctrd::ctl

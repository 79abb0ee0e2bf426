// verify: documents and blobs by their digests, and what containers run from by a worker, which asks the kernel what it
// measures, and unpacks it anew. With --repair what is wrong is made good, and looked at once more.
#include "tools/ctrctl/image_bring.hpp"
#include "tools/ctrctl/image_repair.hpp"
#include "tools/ctrctl/image_verbs.hpp"
#include "tools/ctrctl/image_worker.hpp"
#include "tools/ctrctl/output.hpp"

#include "config/image_settings.hpp"
#include "ctrd/image/gc.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <set>

namespace ctrd::ctl {
namespace {

using Findings = std::vector<Finding>;

// A damaged document hides what it leads to: first the manifest, then the config, then blobs and layers.
constexpr int most_rounds = 4;

Result<void> verify_layer(const image::Store& store, const image::Image& whole, std::size_t at, bool quick) {
    const UniqueFd layer = TRY(store.open_layer(whole.chain[at]));
    if (quick && !TRY(store.open_record(whole.chain[at])))
        return {};
    imaging::Request request;
    request.verb = "verify";
    request.base = whole.descriptor.digest;
    request.quick = quick;
    request.layer = static_cast<std::uint32_t>(at);
    const int given[] = {layer.get()};
    TRY(run_image_worker(request, store, given, {}));
    return {};
}

/// As images.toml wants it.
Result<void> check_sealed(const image::Store& store, const image::Digest& chain, config::Verity wanted) {
    if (wanted != config::Verity::required || TRY(store.open_record(chain)))
        return {};
    return fail(bad_input(std::string{"it came when 'verity' in "} + config::image_settings_file +
                          " did not require fs-verity yet"));
}

/// Of images whose blobs are whole: the others have a problem already. A signal ends it.
Result<void> verify_layers(const image::Store& store, bool quick, Findings& findings) {
    const auto settings = TRY(config::read_image_settings());
    const UniqueFd lock = TRY(store.lock_shared());
    const auto tags = TRY(store.tags());
    std::set<image::Digest> seen;
    for (const image::Tag& tag : tags) {
        const auto whole = store.load(tag.manifest);
        if (!whole || std::ranges::any_of(
                          findings, [&](const Finding& one) { return !one.image && one.problem.what == tag.name; }))
            continue;
        for (std::size_t i = 0; i < whole->chain.size(); ++i) {
            if (!seen.insert(whole->chain[i]).second)
                continue;
            auto good = verify_layer(store, *whole, i, quick);
            if (good)
                good = check_sealed(store, whole->chain[i], settings.verity);
            if (!good && good.error().code == std::errc::interrupted)
                return good;
            if (!good)
                findings.push_back(
                    {{tag.name, fmt::format("layer {} of {}: {}", i + 1, whole->chain.size(), good.error().message)},
                     tag.manifest,
                     i});
        }
    }
    return {};
}

Result<Findings> look(const image::Store& store, bool quick) {
    Findings findings;
    const auto problems = TRY(image::verify(store, quick));
    for (const image::Problem& problem : problems)
        findings.push_back({problem});
    TRY_VOID(verify_layers(store, quick, findings));
    return findings;
}

struct Looked {
    Findings repaired{}, left{};
    std::map<std::string, Error> why{}; // not repaired, by the finding's message
};

bool is_among(const Findings& findings, const Finding& one) {
    return std::ranges::any_of(findings, [&](const Finding& other) {
        return other.problem.what == one.problem.what && other.problem.message == one.problem.message;
    });
}

/// False: nothing of what is left could be.
Result<bool> repair_some(const image::Store& store, Looked& looked) {
    bool some = false;
    for (const Finding& finding : looked.left) {
        auto repaired = repair(store, finding);
        if (!repaired && repaired.error().code == std::errc::interrupted)
            return fail(std::move(repaired).error());
        if (repaired)
            looked.repaired.push_back(finding);
        else
            looked.why.insert_or_assign(finding.problem.message, std::move(repaired).error());
        some = some || repaired;
    }
    return some;
}

Result<Looked> look_and_repair(const image::Store& store, const ImageOptions& options) {
    Looked looked{{}, TRY(look(store, options.quick)), {}};
    for (int round = 0; options.repair && round < most_rounds && TRY(repair_some(store, looked)); ++round)
        looked.left = TRY(look(store, options.quick));
    // What is still wrong was not repaired, whatever was done about it.
    std::erase_if(looked.repaired, [&](const Finding& one) { return is_among(looked.left, one); });
    return looked;
}

std::string hint_for(const Finding& finding, bool repairing) {
    if (!repairing)
        return "'ctrctl image verify --repair' makes it good where that can be done";
    return finding.image ? "its blob is not whole" : "load or pull it again";
}

int show_json(const Looked& looked, Json json) {
    auto array = nlohmann::json::array();
    const auto add = [&](const Findings& findings, bool repaired) {
        for (const Finding& one : findings)
            array.push_back({{"what", one.problem.what}, {"message", one.problem.message}, {"repaired", repaired}});
    };
    add(looked.repaired, true);
    add(looked.left, false);
    return print(json_text(array, json));
}

int show_text(const Looked& looked, bool repairing) {
    std::string text;
    for (const Finding& one : looked.repaired)
        text += fmt::format("repaired '{}': {}\n", printable(one.problem.what), printable(one.problem.message));
    const int printed = print(text);
    for (const Finding& one : looked.left) {
        Error error = bad_input("'" + printable(one.problem.what) + "': " + printable(one.problem.message),
                                hint_for(one, repairing));
        if (const auto why = looked.why.find(one.problem.message); why != looked.why.end()) {
            error.message += "; it was not repaired: " + why->second.message;
            error.hint = why->second.hint.empty() ? error.hint : why->second.hint;
        }
        report(exit_failure, error);
    }
    return printed;
}

} // namespace

int image_verify(const ImageOptions& options) {
    const auto store = open_store(options, true);
    if (!store)
        return report(store.error());
    auto looked = look_and_repair(*store, options);
    if (!looked)
        return report_brought(std::move(looked).error());
    const Json json = json_of(options.json);
    const int printed = json != Json::off ? show_json(*looked, json) : show_text(*looked, options.repair);
    return looked->left.empty() ? printed : int{exit_failure};
}

} // namespace ctrd::ctl

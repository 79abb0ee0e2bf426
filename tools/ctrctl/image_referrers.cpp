// referrers: what a registry has that says something about an image, such as signatures and lists of its parts. It is
// asked now; nothing is stored.
#include "ctrd/image/fetcher.hpp"
#include "ctrd/image/hasher.hpp"
#include "tools/ctrctl/image_fetch.hpp"
#include "tools/ctrctl/image_progress.hpp"
#include "tools/ctrctl/image_pull.hpp"
#include "tools/ctrctl/image_verbs.hpp"
#include "tools/ctrctl/output.hpp"

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace ctrd::ctl {
namespace {

struct Referrers {
    image::Digest subject;
    std::vector<image::Descriptor> all{};
};

Result<Referrers> ask(const image::Reference& reference, const ImageOptions& options) {
    const auto settings = TRY(registry::gather_settings(
        reference, {options.auth_file, options.certificate_folder, tls_wish(options.tls_verify)}, false));
    FetchProcess fetching = TRY(start_fetching(settings));
    const image::Fetcher fetcher{std::move(fetching.channel)};
    // Of an index it is the index: what its parts have is asked by their digests.
    const auto top = fetcher.top();
    if (!top)
        return fail(why_not_fetched(fetching, top.error()));
    const image::Digest subject = reference.digest ? *reference.digest : image::digest_of(top->text);
    auto all = fetcher.referrers(subject, options.artifact_type);
    if (!all)
        return fail(why_not_fetched(fetching, std::move(all).error()));
    return Referrers{subject, *std::move(all)};
}

nlohmann::json to_json(const Referrers& found) {
    auto array = nlohmann::json::array();
    for (const auto& one : found.all)
        array.push_back({{"digest", one.digest.text()},
                         {"artifactType", one.artifact_type},
                         {"mediaType", one.media_type},
                         {"size", one.size},
                         {"annotations", one.annotations}});
    return {{"subject", found.subject.text()}, {"referrers", std::move(array)}};
}

} // namespace

int image_referrers(const ImageOptions& options) {
    const auto reference = image::parse_reference(options.name);
    if (!reference)
        return report(exit_bad_input, reference.error());
    // As pull: the passwords, and what confines the process that asks, are root's.
    if (::geteuid() != 0)
        return report(exit_denied,
                      {std::errc::operation_not_permitted, "images are root's: permission denied", "run it as root"});
    auto found = ask(*reference, options);
    if (!found)
        return report(exit_failure, std::move(found).context("'" + printable(options.name) + "'").error());
    if (const Json json = json_of(options.json); json != Json::off)
        return print(json_text(to_json(*found), json));
    if (found->all.empty())
        return print("nothing refers to " + found->subject.text() + "\n");
    Table table{{"DIGEST", "TYPE", "SIZE"}};
    for (const auto& one : found->all)
        table.add({{one.digest.text()},
                   {printable(one.artifact_type.empty() ? one.media_type : one.artifact_type)},
                   {size_text(one.size)}});
    return print(table.render(look_of_stdout()));
}

} // namespace ctrd::ctl

// registry-driver: the registry client as a program, for the integration tests. It reads the machine's own files as the
// real programs do (registries.conf, auth.json, certs.d).
//
//     registry-driver [SETTING=NUMBER]... VERB ...
//     pull REFERENCE FOLDER | push FOLDER REFERENCE [REPOSITORY-ELSEWHERE] | tags REFERENCE
//     referrers REFERENCE@DIGEST | login REGISTRY USER PASSWORD
#include "ctrd/registry/auth_files.hpp"
#include "tests/registry/driver_folder.hpp"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace ctrd::driver {
namespace {

using registry::Client;
using Words = std::vector<std::string>;

Result<void> set(registry::HttpSettings& settings, const std::string& word) {
    const std::string name = word.substr(0, word.find('='));
    const double number = std::strtod(word.c_str() + name.size() + 1, nullptr);
    const std::pair<const char*, registry::Seconds*> times[] = {
        {"connect_timeout", &settings.connect_timeout}, {"document_timeout", &settings.document_timeout},
        {"stall_time", &settings.stall_time},           {"back_off", &settings.back_off},
        {"longest_wait", &settings.longest_wait},
    };
    const auto* time = std::ranges::find(times, name, [](const auto& pair) { return std::string{pair.first}; });
    if (time != std::end(times))
        *time->second = registry::Seconds{number};
    else if (name == "tries")
        settings.tries = static_cast<unsigned>(number);
    else
        return fail(bad_input("unknown setting '" + name + "'"));
    return {};
}

Result<std::unique_ptr<Client>> make_client(registry::HttpSettings http) {
    registry::ClientSettings settings;
    settings.registries = TRY(registry::load_registries(registry::RegistriesPaths::from_environment()));
    settings.credentials = [](const registry::Reference& reference) {
        return registry::find_credentials(registry::auth_files(), reference);
    };
    settings.session = {std::move(http), [](const std::string& host) {
                            return registry::read_certificates(host, registry::certificate_folders());
                        }};
    return std::make_unique<Client>(std::move(settings));
}

/// The manifest for this machine, through an index where there is one.
Result<registry::Fetched> manifest_of(registry::Located& located, const std::stop_token& stop) {
    const auto document = TRY(image::parse_document(located.top().text, located.top().descriptor.media_type));
    const auto* index = std::get_if<image::Index>(&document);
    if (index == nullptr)
        return located.top();
    return located.manifest(TRY(image::choose(*index, image::host_platform())), stop);
}

/// Config and layers, three at a time.
Result<std::uint64_t> fetch_all(registry::Located& located, const Folder& folder,
                                const std::vector<Descriptor>& blobs) {
    std::atomic<std::size_t> next{0};
    std::atomic<std::uint64_t> moved{0};
    std::stop_source stop;
    std::mutex mutex;
    std::optional<Error> first_error;
    const auto work = [&] {
        for (std::size_t i = next++; i < blobs.size(); i = next++) {
            auto fetched = folder.fetch(located, blobs[i], stop.get_token());
            if (fetched) {
                moved += *fetched;
                continue;
            }
            const std::scoped_lock lock{mutex};
            if (!first_error)
                first_error = std::move(fetched).error();
            stop.request_stop();
        }
    };
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 3; ++i)
            threads.emplace_back(work);
    }
    if (first_error)
        return fail(*std::move(first_error));
    return moved.load();
}

Result<void> pull(Client& client, const Words& words) {
    const Folder folder{words.at(2)};
    const auto reference = TRY(image::parse_reference(words.at(1)));
    auto located = TRY(client.locate(reference, {}));
    const auto manifest = TRY(manifest_of(located, {}));
    const auto document = TRY(image::parse_document(manifest.text, manifest.descriptor.media_type));
    const auto* image = std::get_if<image::Manifest>(&document);
    if (image == nullptr)
        return fail(bad_input("an index in an index is no image"));
    TRY_VOID(folder.prepare());
    std::vector<Descriptor> blobs = image->layers;
    blobs.push_back(image->config);
    const auto moved = TRY(fetch_all(located, folder, blobs));
    TRY_VOID(folder.write_manifest(manifest.text));
    std::printf("%s %s %s\n", located.from().c_str(), manifest.descriptor.digest.text().c_str(),
                std::to_string(moved).c_str());
    return {};
}

Result<void> push(Client& client, const Words& words) {
    const Folder folder{words.at(1)};
    const auto reference = TRY(image::parse_reference(words.at(2)));
    auto repository = TRY(client.repository(reference, true));
    repository.chunk = 1U << 20;
    const std::string text = TRY(folder.read_manifest());
    const auto document = TRY(image::parse_document(text));
    unsigned sent = 0;
    std::string type;
    if (const auto* image = std::get_if<image::Manifest>(&document)) {
        type = image->media_type;
        auto blobs = image->layers;
        blobs.push_back(image->config);
        for (const auto& blob : blobs)
            sent += TRY(folder.push(repository, blob, words.size() > 3 ? words[3] : "", {})) ? 1U : 0U;
    } else {
        type = std::get<image::Index>(document).media_type;
    }
    TRY_VOID(repository.push_manifest({{type, image::digest_of(text), text.size()}, text}, reference.tag, {}));
    std::printf("%s %u\n", image::digest_of(text).text().c_str(), sent);
    return {};
}

Result<void> tags(Client& client, const Words& words) {
    const auto reference = TRY(image::parse_reference(words.at(1)));
    auto repository = TRY(client.repository(reference, false));
    for (const auto& tag : TRY(repository.tags({})))
        std::printf("%s\n", tag.c_str());
    return {};
}

Result<void> referrers(Client& client, const Words& words) {
    const auto reference = TRY(image::parse_reference(words.at(1)));
    auto repository = TRY(client.repository(reference, false));
    for (const auto& found : TRY(repository.referrers(reference.digest.value(), "", {})))
        std::printf("%s %s\n", found.digest.text().c_str(), found.artifact_type.c_str());
    return {};
}

Result<void> run(const Words& all) {
    registry::HttpSettings http;
    Words words;
    for (const auto& word : all)
        if (words.empty() && word.find('=') != std::string::npos)
            TRY_VOID(set(http, word));
        else
            words.push_back(word);
    const auto owned = TRY(make_client(std::move(http)));
    Client& client = *owned;
    if (words.at(0) == "pull")
        return pull(client, words);
    if (words.at(0) == "push")
        return push(client, words);
    if (words.at(0) == "tags")
        return tags(client, words);
    if (words.at(0) == "referrers")
        return referrers(client, words);
    if (words.at(0) == "login")
        return client.try_login(words.at(1), {words.at(2), words.at(3), ""}, {});
    return fail(bad_input("unknown verb '" + words[0] + "'"));
}

} // namespace
} // namespace ctrd::driver

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);
    if (const auto done = ctrd::driver::run({argv + 1, argv + argc}); !done) {
        std::fprintf(stderr, "%s\n", done.error().message.c_str());
        if (!done.error().hint.empty())
            std::fprintf(stderr, "  hint: %s\n", done.error().hint.c_str());
        return 1;
    }
    return 0;
}

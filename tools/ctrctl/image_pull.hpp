// Images from registries. Two confined processes do it: ctr-fetch, which speaks HTTP and has no rights, and ctr-image,
// which unpacks and has no network. Here the machine's own files are read (registries.conf, auth.json, certs.d,
// policy.json), and the two put together; nothing that a registry sends is looked at.
#pragma once

#include "ctrd/image/ingest.hpp"
#include "tools/ctrctl/verbs.hpp"

#include <optional>

namespace ctrd::ctl {

struct PullOptions {
    std::string platform{};           // "OS/ARCH[/VARIANT]"; "": this machine's
    std::uint64_t max_layer_size{0};  // 0: the usual limit
    std::string auth_file{};          // "": the usual ones
    std::string certificate_folder{}; // "": certs.d
    std::string policy_file{};        // "": the machine's
    std::optional<bool> verify_tls{}; // nothing: as registries.conf says
};

/// Asks the registry what `name` means now, and brings what the store does not have. Takes the store's shared lock for
/// the time. `progress` may be empty. EINTR: a signal has ended it; nothing is left but the beginnings of blobs, which
/// the next pull goes on with.
Result<image::Tag> pull_image(const image::Store& store, const std::string& name, const PullOptions& options,
                              const image::ProgressSink& progress);

/// What `name` means among the images that are stored, without asking anybody: as find_image(), and short names as
/// registries.conf completes them.
Result<image::Tag> find_stored_image(const image::Store& store, const std::string& name);

/// "true", "false" or "" of --tls-verify.
std::optional<bool> tls_wish(const std::string& text);

} // namespace ctrd::ctl

// libctrd-config: TOML -> UnitSpec -> checks -> OCI config and systemd units. The one header for ctrctl, ctrd and the
// generator. Nothing here throws, logs or exits; only load, list, gather and generate touch the file system.
#pragma once

#include "config/diagnostic.hpp"
#include "config/name_files.hpp"
#include "config/unit_spec.hpp"
#include "ctrd/image/store.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ctrd::config {

// --- finding and reading declarations ---------------------------------------------------------------------------

/// The folders that hold NAME.toml and NAME.toml.d/*.conf.toml, lowest priority first.
struct SearchDirs {
    std::vector<std::string> folders{};
    /// /usr/lib/ctrd/containers, /run/ctrd/containers, /etc/ctrd/containers, below `root` if it is not empty.
    static SearchDirs system(const std::string& root = {});
};

/// One file as it was read; `path` is what the diagnostics name.
struct SourceFile {
    std::string path{};
    std::string text{};
};

struct Loaded {
    UnitSpec spec{};
    std::vector<std::string> sources{}; // the main file, then its drop-ins in the order in which they were applied
};

struct Listing {
    std::vector<std::string> names{};  // sorted; masked ones are not in it
    std::vector<std::string> masked{}; // an empty file or a symlink to /dev/null with the highest priority
    Diagnostics problems{};            // files whose name is no container name; unreadable folders
};

Listing list_names(const SearchDirs& dirs);
/// Reads, merges and checks one declared container.
Outcome<Loaded> load(std::string_view name, const SearchDirs& dirs);
/// The file that decides about `name` (the one of highest priority), if there is any.
std::optional<std::string> find_main_file(std::string_view name, const SearchDirs& dirs);
/// `ctrctl check FILE`: one file by itself; its name gives the container's, its NAME.toml.d beside it is read too.
Outcome<Loaded> check_file(const std::string& path);
/// Pure: parses, merges (later files win) and checks.
Outcome<UnitSpec> parse(std::string_view name, const std::vector<SourceFile>& files);
/// The named checks alone, for a UnitSpec that did not come from TOML. Empty: nothing is wrong.
Diagnostics check(const UnitSpec& spec);

// --- compiling --------------------------------------------------------------------------------------------------

/// The image that a spec's name was found to mean.
struct ImageFacts {
    image::Digest digest;              // of its manifest
    std::vector<std::string> layers{}; // as they are named in the store, the uppermost first
    bool mounts_files{false};          // some of them are EROFS files
    image::Config config{};            // hostile: defaults, never a right
};

/// What the OCI config depends on besides the spec: texts that belong to the (hostile) rootfs, bundle or image.
struct Facts {
    std::string passwd{}, group{}; // of the rootfs; empty if it has none
    std::string bundle_config{};   // the bundle's config.json
    std::string seccomp_profile{}; // the file that `seccomp` names
    std::optional<ImageFacts> image{};
};

/// Where to look besides the paths that a spec names.
struct Sources {
    std::string store{image::default_store};
    /// What the image's name was found to mean. Nothing: what `ctrctl apply` has pinned for this container, or else
    /// what the name means now.
    std::optional<image::Digest> image{};
};
/// Reads them, bounded, through ctrd/base/rooted.hpp. For an image somebody holds the store's lock meanwhile, and until
/// the use is noted (ctrd/image/use.hpp).
Outcome<Facts> gather(const UnitSpec& spec, const Sources& sources = {});
/// "image 'web:1' is not stored", and how it gets there.
Error no_such_image(const std::string& text);

struct UnitFile {
    std::string path{}; // relative to the generator's output folder
    std::string text{};
};
struct UnitLink {
    std::string path{}; // relative to the generator's output folder
    std::string target{};
};
struct Compiled {
    std::string name{};
    std::string config_json{};     // the OCI config with the key "ctrd"
    std::string image_note{};      // which image it uses (image::use_text); empty: none
    std::string hosts{};           // its /etc/hosts (name_files.hpp); empty: none
    std::vector<UnitFile> files{}; // ctr@NAME.socket (with sockets only), ctr@NAME.service.d/10-ctrd.conf
    std::vector<UnitLink> links{}; // *.wants/
};
/// Pure.
Outcome<Compiled> compile(const UnitSpec& spec, const Facts& facts);
/// gather() and then the pure one.
Outcome<Compiled> compile(const UnitSpec& spec, const Sources& sources = {});

/// An OCI config for `ctrctl run`: no units, no sockets. With an image root.path is still to be set.
struct AdHoc {
    std::string config_json{};
    std::optional<ImageFacts> image{};
    NameFiles names{}; // not in the config yet
};
Outcome<AdHoc> ad_hoc(const UnitSpec& spec, bool terminal, const Sources& sources = {});

// --- what is installed for systemd ------------------------------------------------------------------------------

struct OutputDirs {
    std::string units{"/run/systemd/generator"};
    std::string compiled{"/run/ctrd/compiled"}; // NAME/config.json
    std::string store{image::default_store};    // of the images
};

/// What differs between `compiled` and what is in the output folders now: call it before daemon-reload.
struct Changes {
    bool config{false};  // the container itself: restart it if it runs
    bool service{false}; // its unit's drop-in
    bool socket{false};  // its socket unit: made, changed or gone
    bool added{false};   // nothing was there
    bool image{false};   // another image (`config` is true as well)
    [[nodiscard]] bool any() const { return config || service || socket || added; }
};
Changes compare(const Compiled& compiled, const OutputDirs& out = {});
/// Containers that have a compiled config now, sorted: what systemd knows, not what the files say.
std::vector<std::string> list_compiled(const OutputDirs& out = {});

/// The generator: compiles every declared container into `out` and removes compiled folders that no file declares
/// any more. A broken one is reported and left out; a broken one that was compiled before keeps its compiled config.
Diagnostics generate(const SearchDirs& dirs, const OutputDirs& out);
/// Compiles one container's config.json only: for a rootfs that was not mounted yet when the generator ran.
Outcome<Compiled> compile_deferred(std::string_view name, const SearchDirs& dirs, const OutputDirs& out);

} // namespace ctrd::config

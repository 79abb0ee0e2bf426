#include "tools/ctrctl/image_line.hpp"

#include <CLI/CLI.hpp>

namespace ctrd::ctl {
namespace {

void add_json(CLI::App& verb, std::string& value) {
    verb.add_flag("--json", value, "print JSON for scripts; short: in one line")
        ->check(CLI::IsMember({"true", "pretty", "short", "off"}))
        ->option_text("[=pretty|short|off]");
}

/// What brings an image.
void add_bringing(CLI::App& verb, ImageOptions& options) {
    verb.add_option("--platform", options.platform,
                    "of several, the image for this system; this machine's if not given")
        ->option_text("OS/ARCH[/VARIANT]");
    verb.add_option("--max-layer-size", options.max_layer_size, "refuse layers that unpack to more (64G)")
        ->option_text("SIZE");
    add_json(verb, options.json);
}

/// What speaks with a registry.
template <class Options> void add_registry(CLI::App& verb, Options& options) {
    verb.add_option("--authfile", options.auth_file, "user names and passwords; the usual auth.json files if not given")
        ->option_text("FILE");
    verb.add_option("--cert-dir", options.certificate_folder,
                    "certificates for the registry; those in certs.d if not given")
        ->option_text("DIR");
    verb.add_flag("--tls-verify", options.tls_verify,
                  "whether a registry must prove who it is; as registries.conf says if not given")
        ->check(CLI::IsMember({"true", "false"}))
        ->option_text("[=true|false]");
}

} // namespace

void add_login_verbs(CLI::App& app, LoginOptions& options) {
    CLI::App& login = *app.add_subcommand("login", "Log in to a registry: try a password, and keep it");
    login.add_option("REGISTRY", options.registry, "HOST[:PORT]")->required();
    login.add_option("-u,--user,--username", options.user, "user name; asked for on the terminal if not given");
    login.add_flag("--password-stdin", options.password_stdin, "read the password from stdin");
    add_registry(login, options);
    CLI::App& logout = *app.add_subcommand("logout", "Forget the password for a registry");
    logout.add_option("REGISTRY", options.registry, "HOST[:PORT]")->required();
    logout.add_option("--authfile", options.auth_file, "where it is; the usual auth.json if not given")
        ->option_text("FILE");
}

void add_image_verbs(CLI::App& image, ImageOptions& options) {
    const auto add = [&](const char* name, const char* help) -> CLI::App& {
        CLI::App& verb = *image.add_subcommand(name, help);
        verb.add_option("--store", options.store, "folder of the images (/var/lib/ctrd)")->option_text("DIR");
        return verb;
    };
    image.require_subcommand(1);

    CLI::App& pull = add("pull", "Bring images from registries; what is there already is not fetched");
    pull.add_option("NAME", options.names,
                    "[REGISTRY[:PORT]/]NAME[:TAG][@DIGEST]; containers-storage:NAME is Podman's on this machine, "
                    "docker-storage:NAME Docker's")
        ->required();
    pull.add_flag("-q,--quiet", options.quiet, "no progress on the terminal");
    pull.add_option("--signature-policy", options.policy_file,
                    "which images may come; policy.json in /etc/containers if not given")
        ->option_text("FILE");
    add_registry(pull, options);
    add_bringing(pull, options);

    CLI::App& push = add("push", "Send an image to a registry; what is there already is not sent");
    push.add_option("IMAGE", options.name, "name or digest")->required();
    push.add_option("DEST", options.output, "REGISTRY[:PORT]/NAME[:TAG]; the image's own name if not given");
    push.add_flag("-q,--quiet", options.quiet, "no progress on the terminal");
    add_registry(push, options);
    add_json(push, options.json);

    CLI::App& referrers =
        *image.add_subcommand("referrers", "Show what a registry has about an image: signatures, lists of its parts");
    referrers.add_option("NAME", options.name, "[REGISTRY[:PORT]/]NAME[:TAG][@DIGEST]")->required();
    referrers.add_option("--artifact-type", options.artifact_type, "of this type only")->option_text("TYPE");
    add_registry(referrers, options);
    add_json(referrers, options.json);

    CLI::App& load = add("load", "Take images out of an OCI layout (folder or tar) or an archive of 'docker save'");
    load.add_option("FILE", options.file, "file or folder; - for stdin")->required();
    load.add_option("NAME", options.name, "what to call it; as the archive says if not given");
    load.add_option("--image", options.wanted, "of several in the archive, the one with this name")
        ->option_text("NAME");
    load.add_flag("--replace", options.replace,
                  "a name of another image that the archive uses too goes to the new one");
    add_bringing(load, options);

    CLI::App& import = add("import", "Make an image of a tar of a whole file system");
    import.add_option("FILE", options.file, "tar, may be compressed by gzip or zstd; - for stdin")->required();
    import.add_option("NAME", options.name, "what to call it")->required();
    import.add_option("--command", options.command, "what a container of it runs; once for each word")
        ->option_text("WORD")
        ->allow_extra_args(false);
    import.add_option("-u,--user", options.user, "as which user")->option_text("USER");
    import.add_option("-w,--workdir", options.directory, "in which folder")->option_text("DIR");
    import.add_option("-e,--env", options.environment, "with an environment variable; may be repeated")
        ->option_text("NAME=VALUE")
        ->allow_extra_args(false);
    add_bringing(import, options);

    CLI::App& save = add("save", "Write images into an archive, which 'load', podman and skopeo read");
    save.add_option("IMAGE", options.names, "name or digest")->required();
    save.add_option("-o,--output", options.output, "into this file; stdout if not given")->option_text("FILE");
    save.add_option("--format", options.format, "an OCI layout, or as 'docker save' writes it")
        ->check(CLI::IsMember({"oci-archive", "docker-archive"}))
        ->option_text("oci-archive|docker-archive");

    CLI::App& list = add("list", "List the images");
    list.add_flag("-q,--quiet", options.quiet, "print the names only");
    add_json(list, options.json);
    for (const auto& [name, help] : {std::pair{"inspect", "Show all that is known about an image, as JSON"},
                                     std::pair{"history", "Show how an image was made"},
                                     std::pair{"tree", "Show an image's layers, and who shares them"}}) {
        CLI::App& verb = add(name, help);
        verb.add_option("IMAGE", options.name, "name or digest")->required();
        add_json(verb, options.json);
    }
    CLI::App& diff = add("diff", "Show what an image's uppermost layer changes, or what OTHER has otherwise");
    diff.add_option("IMAGE", options.name, "name or digest")->required();
    diff.add_option("OTHER", options.output, "name or digest of another image");
    add_json(diff, options.json);
    CLI::App& tag = add("tag", "Give an image another name");
    tag.add_option("IMAGE", options.name, "name or digest")->required();
    tag.add_option("NAME", options.output, "the other name")->required();
    CLI::App& remove = add("rm", "Remove names; 'prune' then removes what nothing leads to any more");
    remove.add_option("NAME", options.names, "name of an image")->required();
    remove.add_flag("-f,--force", options.force, "also the name of an image that a container uses; it stays, nameless");
    CLI::App& prune = add("prune", "Remove what no name and no container leads to");
    prune.add_flag("-n,--dry-run", options.dry_run, "only say what would go");
    prune.add_flag("-a,--all", options.all, "names that no container is made from, too");
    prune
        .add_option("--until", options.until, "with --all: of these names, those that were given longer ago than this")
        ->needs("--all")
        ->option_text("DURATION");
    add_json(prune, options.json);
    CLI::App& verify = add("verify", "Check everything that a name leads to against its digests");
    verify.add_flag("--quick", options.quick, "read no layer: sizes, and what fs-verity measures");
    verify.add_flag("--repair", options.repair, "make good what is wrong: unpack again, or fetch again");
    add_json(verify, options.json);
}

} // namespace ctrd::ctl

#include "ctrd/image/ingest.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/image/early_flush.hpp"
#include "ctrd/image/hasher.hpp"
#include "ctrd/image/json.hpp"
#include "ctrd/image/new_layer.hpp"
#include "ctrd/image/verity.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <ctime>
#include <mutex>
#include <thread>

namespace ctrd::image {
namespace {

constexpr unsigned at_a_time = 2;
constexpr std::uint64_t told_after = 1U << 20;
constexpr std::uint64_t flushed_after = 8U << 20; // of a layer as it comes

/// One image on its way.
class Ingest {
public:
    Ingest(const Store& store, const Workspace& workspace, std::vector<LayerSource> layers,
           std::vector<Digest> diff_ids, const IngestOptions& options)
        : store_{store}, workspace_{workspace}, layers_{std::move(layers)}, diff_ids_{std::move(diff_ids)},
          chain_{chain_ids(diff_ids_)}, options_{options}, results_(layers_.size()) {}

    /// All layers whole, settled and in the store; nothing names them yet.
    Result<void> run() {
        TRY_VOID(check_budget());
        {
            EarlyFlush flush{workspace_.folder()};
            early_flush_ = &flush;
            std::vector<std::jthread> threads;
            for (unsigned i = 0; i < std::min<std::size_t>(at_a_time, layers_.size()); ++i)
                threads.emplace_back([this] { work(); });
        }
        if (error_)
            return fail(std::move(*error_));
        if (diff_ids_.empty()) {
            for (const auto& result : results_)
                diff_ids_.push_back(result->diff_id);
            chain_ = chain_ids(diff_ids_);
        }
        TRY_VOID(settle_whole()); // those whose ids were not known before
        if (options_.verity)
            TRY_VOID(seal_all());
        // Only now: what is refused as a whole leaves nothing.
        for (std::size_t i = 0; i < layers_.size(); ++i)
            if (blobs_made_[i])
                TRY_VOID(store_.keep_blob(workspace_, blob_name(i), results_[i]->blob));
        TRY_VOID(store_.sync());
        for (std::size_t i = 0; i < layers_.size(); ++i)
            if (is_made_[i]) {
                if (options_.verity)
                    TRY_VOID(store_.keep_record(workspace_, record_name(i), chain_[i]));
                TRY_VOID(store_.keep_layer(workspace_, tree_name(i), chain_[i]));
            }
        return {};
    }

    [[nodiscard]] const std::vector<Digest>& diff_ids() const { return diff_ids_; }
    [[nodiscard]] const LayerResult& result(std::size_t i) const { return *results_[i]; }
    [[nodiscard]] std::size_t size() const { return layers_.size(); }

private:
    static std::string tree_name(std::size_t i) { return "tree-" + std::to_string(i); }
    static std::string record_name(std::size_t i) { return "record-" + std::to_string(i); }
    static std::string blob_name(std::size_t i) { return "blob-" + std::to_string(i); }

    /// What is announced to come, before any of it does.
    Result<void> check_budget() const {
        if (!options_.limits.budget)
            return {};
        std::uint64_t announced = 0;
        for (const LayerSource& layer : layers_)
            if (layer.blob && !store_.has_blob(layer.blob->digest))
                announced += layer.blob->size;
        return options_.limits.budget->check(announced);
    }

    void work() {
        for (std::size_t i = next_++; i < layers_.size() && !stop_; i = next_++) {
            auto done = one_layer(i).context(number(i));
            if (done)
                done = settle_if_whole(i);
            if (done)
                continue;
            const std::lock_guard lock{mutex_};
            if (!error_)
                error_ = std::move(done).error();
            if (!stop_.exchange(true) && options_.stop)
                options_.stop();
        }
    }

    void tell(std::size_t i, Progress::State state, std::uint64_t bytes) {
        if (!options_.progress)
            return;
        const auto& blob = layers_[i].blob;
        const std::lock_guard lock{mutex_};
        options_.progress({i, layers_.size(), state, blob ? blob->digest.text() : "", bytes, blob ? blob->size : 0});
    }

    Result<void> one_layer(std::size_t i) {
        const auto& blob = layers_[i].blob;
        if (is_here(i)) {
            results_[i] = LayerResult{blob->digest, diff_ids_[i], blob->size};
            tell(i, Progress::State::shared, blob->size);
            return {};
        }
        if (blob && store_.has_blob(blob->digest))
            TRY_VOID(unpack_stored(i));
        else if (options_.resumable && blob)
            TRY_VOID(fetch(i));
        else
            TRY_VOID(take(i));
        tell(i, Progress::State::done, results_[i]->size);
        return {};
    }

    [[nodiscard]] bool has_layer(std::size_t i) const { return !chain_.empty() && store_.has_layer(chain_[i]); }
    [[nodiscard]] bool is_here(std::size_t i) const {
        return has_layer(i) && layers_[i].blob && store_.has_blob(layers_[i].blob->digest);
    }

    /// What is read once and whole.
    Result<void> take(std::size_t i) {
        const LayerInput input = TRY(layers_[i].open(0));
        const UniqueFd copy = TRY(workspace_.new_file(blob_name(i)));
        TRY_VOID(unpack(i, input, copy.get(), 0));
        TRY_VOID(flush(copy.get()));
        blobs_made_[i] = 1;
        return {};
    }

    /// What may be cut, and has maybe begun to come an earlier time.
    Result<void> fetch(std::size_t i) {
        const Descriptor& blob = *layers_[i].blob;
        const UniqueFd partial = TRY(store_.open_partial(blob.digest));
        if (store_.has_blob(blob.digest)) { // somebody else has fetched it while we waited
            TRY_VOID(store_.drop_partial(blob.digest));
            return unpack_stored(i);
        }
        struct stat st {};
        if (::fstat(partial.get(), &st) < 0)
            return fail(os_error(errno, "cannot look at the beginning of a blob"));
        const auto have = static_cast<std::uint64_t>(st.st_size);
        auto fetched = fetch_from(i, partial.get(), have <= blob.size ? have : 0);
        // What an earlier time has left may not be what it was, such as after a power failure: that is no error yet.
        if (!fetched && have > 0 && cut_[i] == 0 && !stop_)
            fetched = fetch_from(i, partial.get(), 0);
        if (!fetched && cut_[i] == 0)
            TRY_VOID(store_.drop_partial(blob.digest));
        TRY_VOID(std::move(fetched));
        TRY_VOID(flush(partial.get()));
        return store_.keep_partial(blob.digest);
    }

    Result<void> fetch_from(std::size_t i, int partial, std::uint64_t from) {
        if (from == 0 && ::ftruncate(partial, 0) < 0)
            return fail(os_error(errno, "cannot begin a blob anew"));
        LayerInput input;
        input.offset = 0; // where nothing is missing: no file, no bytes
        if (from < layers_[i].blob->size) {
            auto opened = layers_[i].open(from);
            if (!opened) {
                cut_[i] = 1;
                return fail(std::move(opened).error());
            }
            input = *std::move(opened);
        }
        bool cut = false;
        if (input.ended)
            input.ended = [&cut, ended = std::move(input.ended)] {
                auto well = ended();
                cut = !well;
                return well;
            };
        auto unpacked = unpack(i, input, partial, from);
        if (!unpacked && cut)
            cut_[i] = 1;
        return unpacked;
    }

    Result<void> unpack_stored(std::size_t i) {
        const LayerInput input{TRY(store_.open_blob(layers_[i].blob->digest))};
        return unpack(i, input, -1, 0);
    }

    Result<void> unpack(std::size_t i, const LayerInput& input, int copy, std::uint64_t have) {
        // Also where the layer is there already: only its content says that these bytes are that layer.
        NewLayer layer = TRY(NewLayer::make(workspace_, tree_name(i), options_.form, options_.limits));
        LayerJob job{input, layers_[i].blob, {}, copy, have, &layer.writer(), options_.limits, {}};
        if (!diff_ids_.empty())
            job.diff_id = diff_ids_[i];
        std::uint64_t told = 0;
        std::uint64_t flushed = 0;
        job.progress = [this, i, &told, &flushed](std::uint64_t bytes) {
            if (bytes - told >= told_after) {
                told = bytes;
                tell(i, Progress::State::working, bytes);
            }
            if (bytes - flushed >= flushed_after) {
                flushed = bytes;
                early_flush_->begin();
            }
        };
        results_[i] = TRY(unpack_layer(job));
        early_flush_->begin();
        if (!has_layer(i))
            made_[i] = std::make_unique<NewLayer>(std::move(layer));
        return {};
    }

    /// At once, so that whoever is interrupted has not fetched it in vain.
    static Result<void> flush(int file) {
        return ::fdatasync(file) == 0 ? Result<void>{} : fail(os_error(errno, "cannot write a blob"));
    }

    /// Each as soon as all below it are: a layer may hold much in memory until then.
    Result<void> settle_if_whole(std::size_t i) {
        const std::lock_guard lock{settling_};
        is_whole_[i] = 1;
        return chain_.empty() ? Result<void>{} : settle_whole();
    }

    Result<void> settle_whole() {
        for (std::size_t i = lowers_.size(); i < layers_.size() && is_whole_[i]; i = lowers_.size()) {
            UniqueFd layer = made_[i] ? TRY(settle_one(i).context(number(i))) : TRY(store_.open_layer(chain_[i]));
            lowers_.insert(lowers_.begin(), TRY(LayerNode::root(std::move(layer)).context(number(i))));
        }
        return {};
    }

    /// What isn't needed any more goes: a file that is sealed must not be open for writing.
    Result<UniqueFd> settle_one(std::size_t i) {
        std::unique_ptr<NewLayer> layer = std::move(made_[i]);
        is_made_[i] = 1;
        if (!TRY(layer->settle(lowers_, chain_[i]))) {
            layer = std::make_unique<NewLayer>(TRY(unpack_as_folder(i)));
            TRY(layer->settle(lowers_, chain_[i]));
        }
        return layer->open();
    }

    /// From the blob, which has been checked and charged.
    Result<NewLayer> unpack_as_folder(std::size_t i) {
        LayerLimits limits = options_.limits;
        limits.budget = {};
        NewLayer layer = TRY(NewLayer::make(workspace_, tree_name(i), LayerForm::folder, limits));
        const LayerInput input{blobs_made_[i] ? TRY(open_at(workspace_.folder(), blob_name(i), O_RDONLY | O_NOFOLLOW))
                                              : TRY(store_.open_blob(results_[i]->blob))};
        const LayerJob job{input, {}, diff_ids_[i], -1, 0, &layer.writer(), limits, {}};
        TRY(unpack_layer(job));
        return layer;
    }

    [[nodiscard]] std::string number(std::size_t i) const {
        return "layer " + std::to_string(i + 1) + " of " + std::to_string(layers_.size());
    }

    /// Each file waits for the disk: what is to be written already goes there together.
    Result<void> seal_all() {
        TRY_VOID(store_.sync());
        for (std::size_t i = 0; i < layers_.size(); ++i) {
            if (!is_made_[i])
                continue;
            const UniqueFd layer = TRY(open_at(workspace_.folder(), tree_name(i), O_RDONLY | O_NOFOLLOW));
            TRY_VOID(seal_layer(workspace_, layer.get(), record_name(i), options_.limits.budget).context(number(i)));
        }
        return {};
    }

    const Store& store_;
    const Workspace& workspace_;
    std::vector<LayerSource> layers_;
    std::vector<Digest> diff_ids_, chain_;
    const IngestOptions& options_;
    EarlyFlush* early_flush_{nullptr}; // while layers come
    std::vector<std::optional<LayerResult>> results_;
    std::vector<std::unique_ptr<NewLayer>> made_ = std::vector<std::unique_ptr<NewLayer>>(layers_.size());
    std::vector<char> is_made_ = std::vector<char>(layers_.size()); // and settled
    std::vector<char> blobs_made_ = std::vector<char>(layers_.size());
    std::vector<char> cut_ = std::vector<char>(layers_.size()); // its source ended too early: what has come is good
    std::vector<char> is_whole_ = std::vector<char>(layers_.size());
    std::vector<LayerNode> lowers_{}; // those that are settled, the uppermost first
    std::mutex settling_{};
    std::atomic<std::size_t> next_{0};
    std::atomic<bool> stop_{false};
    std::mutex mutex_{};
    std::optional<Error> error_{};
};

std::string_view layer_type(const LayerResult& layer) {
    switch (layer.compression) {
    case Compression::gzip:
        return media::oci_layer_gzip;
    case Compression::zstd:
        return media::oci_layer_zstd;
    case Compression::none:
        break;
    }
    return media::oci_layer;
}

Result<Image> with_made_manifest(const Store& store, const Workspace& workspace, const std::string& config_text,
                                 const Ingest& ingest) {
    const Digest config = TRY(store.write_document(workspace, config_text));
    Manifest manifest{.media_type = std::string{media::oci_manifest},
                      .config = {std::string{media::oci_config}, config, config_text.size()}};
    for (std::size_t i = 0; i < ingest.size(); ++i)
        manifest.layers.push_back(
            {std::string{layer_type(ingest.result(i))}, ingest.result(i).blob, ingest.result(i).size});
    return store.load(TRY(store.write_document(workspace, to_json(manifest))));
}

std::string now_text() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

std::string made_config(const Config& config, const Digest& diff_id) {
    Json json{{"architecture", config.platform.architecture},
              {"os", config.platform.os},
              {"created", now_text()},
              {"config", Json::object()},
              {"rootfs", {{"type", "layers"}, {"diff_ids", {diff_id.text()}}}},
              {"history", Json::array({{{"created", now_text()}, {"created_by", "ctrctl image import"}}})}};
    if (!config.platform.variant.empty())
        json["variant"] = config.platform.variant;
    Json& process = json["config"];
    if (!config.entrypoint.empty())
        process["Entrypoint"] = config.entrypoint;
    if (!config.command.empty())
        process["Cmd"] = config.command;
    if (!config.user.empty())
        process["User"] = config.user;
    if (!config.working_directory.empty())
        process["WorkingDir"] = config.working_directory;
    for (const auto& [name, value] : config.environment)
        process["Env"].push_back(name + "=" + value);
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

} // namespace

Result<Image> ingest(const Store& store, const Workspace& workspace, const Digest& digest,
                     const std::string& manifest_text, const std::string& config_text,
                     const std::function<Result<LayerInput>(const Descriptor&, std::uint64_t)>& open,
                     const IngestOptions& options) {
    if (digest_of(manifest_text, digest.algorithm()) != digest)
        return fail(bad_input("the manifest is not '" + digest.text() + "'", "it was damaged or exchanged on its way"));
    const Document document = TRY(parse_document(manifest_text).context("manifest '" + digest.text() + "'"));
    const auto* manifest = std::get_if<Manifest>(&document);
    if (manifest == nullptr)
        return fail(bad_input("'" + digest.text() + "' is an index, not an image"));
    const Digest& config_digest = manifest->config.digest;
    if (config_text.size() != manifest->config.size ||
        digest_of(config_text, config_digest.algorithm()) != config_digest)
        return fail(
            bad_input("the image's config is not what its manifest says", "it was damaged or exchanged on its way"));
    const Config config = TRY(parse_config(config_text).context("the image's config"));
    if (config.diff_ids.size() != manifest->layers.size())
        return fail(bad_input("the image has " + std::to_string(manifest->layers.size()) +
                              " layers, and its config says " + std::to_string(config.diff_ids.size())));
    std::vector<LayerSource> layers;
    for (const Descriptor& layer : manifest->layers) {
        layers.push_back({layer, [&open, &layer](std::uint64_t from) { return open(layer, from); }});
        // Its content could be taken for a tar all the same: a file system may begin with zeros, as an empty tar does.
        if (!is_tar_type(layer.media_type))
            return fail(Error{std::errc::not_supported,
                              "layer " + std::to_string(layers.size()) + " of " +
                                  std::to_string(manifest->layers.size()) + " is '" + printable(layer.media_type) +
                                  "', and no tar",
                              "layers are tar, as gzip, zstd or not packed"});
    }
    Ingest one{store, workspace, std::move(layers), config.diff_ids, options};
    TRY_VOID(one.run());
    TRY(store.write_document(workspace, config_text, config_digest.algorithm()));
    return store.load(TRY(store.write_document(workspace, manifest_text, digest.algorithm())));
}

Result<Image> ingest(const Store& store, const Workspace& workspace, const std::string& config_text,
                     std::vector<LayerSource> layers, const IngestOptions& options) {
    const Config config = TRY(parse_config(config_text).context("the image's config"));
    if (config.diff_ids.size() != layers.size())
        return fail(bad_input("the image's config and its list of layers do not fit each other"));
    Ingest one{store, workspace, std::move(layers), config.diff_ids, options};
    TRY_VOID(one.run());
    return with_made_manifest(store, workspace, config_text, one);
}

Result<Image> ingest(const Store& store, const Workspace& workspace, Config config, LayerSource layer,
                     const IngestOptions& options) {
    std::vector<LayerSource> layers;
    layers.push_back(std::move(layer));
    Ingest one{store, workspace, std::move(layers), {}, options};
    TRY_VOID(one.run());
    return with_made_manifest(store, workspace, made_config(config, one.diff_ids().front()), one);
}

} // namespace ctrd::image

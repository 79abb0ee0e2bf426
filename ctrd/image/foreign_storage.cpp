#include "ctrd/image/foreign_storage.hpp"

#include "ctrd/base/file.hpp"
#include "ctrd/base/rooted.hpp"
#include "ctrd/image/tar_split.hpp"

#include <fcntl.h>

#include <cerrno>
#include <future>
#include <thread>

namespace ctrd::image {
namespace {

constexpr std::size_t shortest_id = 6;

/// What `wanted` means among names like "host/path:tag": itself, or the end of one.
bool is_called(const std::string& name, const std::string& wanted) {
    return name == wanted || name.ends_with("/" + wanted);
}

} // namespace

bool is_foreign_id(std::string_view text) {
    return !text.empty() && text.size() <= 128 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<std::optional<FoundForeign>> find_foreign(const std::vector<ForeignImage>& images, const std::string& wanted) {
    std::vector<FoundForeign> exact, ends, ids;
    for (const ForeignImage& image : images) {
        for (const std::string& name : image.names)
            for (const std::string& one : {wanted, wanted + ":latest"}) {
                if (name == one)
                    exact.push_back({image, name});
                else if (is_called(name, one))
                    ends.push_back({image, name});
            }
        if (wanted.size() >= shortest_id && is_foreign_id(wanted) && image.id.starts_with(wanted))
            ids.push_back({image, {}});
    }
    const auto called = [](const FoundForeign& one) {
        return "'" + printable(one.name.empty() ? one.image.id : one.name) + "'";
    };
    for (const auto* found : {&exact, &ends, &ids}) {
        if (found->size() > 1)
            return fail(bad_input("'" + printable(wanted) + "' is not the only one: " + called(found->at(0)) + ", " +
                                      called(found->at(1)),
                                  "write more of it"));
        if (found->size() == 1)
            return std::optional{found->front()};
    }
    return std::optional<FoundForeign>{};
}

Result<std::string> name_for(const FoundForeign& found, const LoadRequest& request) {
    if (!request.name.empty())
        return tag_name(request.name);
    if (found.name.empty() && found.image.names.empty())
        return fail(
            bad_input("the image '" + found.image.id.substr(0, 12) + "' has no name there", "give it one there"));
    return tag_name(found.name.empty() ? found.image.names.front() : found.name).context("the storage's name of it");
}

Result<UniqueFd> ForeignFolder::open(const std::string& path, int flags) const {
    UniqueFd fd{
        rooted::open_raw(root_, path.c_str(), static_cast<std::uint64_t>(flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY))};
    if (!fd)
        return fail(os_error(errno, "cannot open '" + printable(path) + "' of the storage"));
    return fd;
}

Result<bool> ForeignFolder::has(const std::string& path) const {
    const auto file = open(path, O_RDONLY);
    if (!file && file.error().code != std::errc::no_such_file_or_directory)
        return fail(file.error());
    return file.has_value();
}

Result<std::string> ForeignFolder::text(const std::string& path, std::size_t limit) const {
    const UniqueFd file = TRY(open(path, O_RDONLY));
    return read_all(file.get(), limit).context("'" + printable(path) + "' of the storage");
}

// The thread has all that it needs: where nobody reads to the end it ends by itself.
Result<LayerInput> stream_layer(UniqueFd list, UniqueFd tree) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) < 0)
        return fail(os_error(errno, "cannot make a pipe"));
    LayerInput input{UniqueFd{ends[0]}};
    std::packaged_task<Result<void>()> task{
        [list = std::move(list), tree = std::move(tree), pipe = UniqueFd{ends[1]}]() mutable -> Result<void> {
            auto done =
                rebuild_tar(list.get(), tree.get(), [&](std::string_view data) { return write_all(pipe.get(), data); });
            pipe = UniqueFd{}; // the reader waits for the end before it asks how it went
            return done;
        }};
    std::shared_future<Result<void>> done = task.get_future().share();
    std::thread{std::move(task)}.detach();
    input.ended = [done] { return done.get(); };
    return input;
}

} // namespace ctrd::image

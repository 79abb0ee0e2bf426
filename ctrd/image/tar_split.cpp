#include "ctrd/image/tar_split.hpp"

#include "ctrd/base/base64.hpp"
#include "ctrd/base/rooted.hpp"
#include "ctrd/image/decompress.hpp"
#include "ctrd/image/json.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace ctrd::image {
namespace {

constexpr std::size_t longest_line = 16U << 20;
constexpr std::size_t chunk = 64U << 10;

class Rebuilder {
public:
    using Sink = std::function<Result<void>(std::string_view)>;
    Rebuilder(int tree, const Sink& sink) : tree_{tree}, sink_{sink} {}

    Result<void> feed(std::string_view data) {
        for (std::size_t end = data.find('\n'); end != std::string_view::npos; end = data.find('\n')) {
            line_ += data.substr(0, end);
            TRY_VOID(entry());
            line_.clear();
            data.remove_prefix(end + 1);
        }
        line_ += data;
        return line_.size() <= longest_line ? Result<void>{} : fail(bad_input("the list of a layer has no lines"));
    }

    Result<void> finish() { return line_.empty() ? Result<void>{} : entry(); }

private:
    enum Type { file = 1, between = 2 };

    Result<void> entry() {
        const Json json = TRY(parse_json(line_, longest_line).context("the list of a layer"));
        const oci::Reader in = TRY(oci::Reader::root(json));
        switch (TRY(in.required_integer<int>("type"))) {
        case between: {
            const std::string payload = TRY(in.string("payload"));
            return sink_(TRY(from_base64(payload, "the list of a layer")));
        }
        case file: {
            const auto size = TRY(in.integer<std::uint64_t>("size")).value_or(0);
            if (size == 0)
                return {};
            const std::string name = TRY(name_of(in));
            return content(name, size);
        }
        default:
            return fail(bad_input("the list of a layer has an entry of an unknown type"));
        }
    }

    /// One that is not UTF-8 is written otherwise.
    static Result<std::string> name_of(const oci::Reader& in) {
        const std::string raw = TRY(in.string("name_raw"));
        std::string name = raw.empty() ? TRY(in.string("name")) : TRY(from_base64(raw, "the list of a layer"));
        if (name.empty() || name.find('\0') != std::string::npos)
            return fail(bad_input("the list of a layer has a file without a name"));
        return name;
    }

    Result<void> content(const std::string& name, std::uint64_t left) {
        const std::string what = "'" + printable(name) + "' of a layer";
        const UniqueFd fd{rooted::open_raw(tree_, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)};
        if (!fd)
            return fail(os_error(errno, "cannot open " + what));
        struct stat st {};
        if (::fstat(fd.get(), &st) < 0 || !S_ISREG(st.st_mode))
            return fail(bad_input(what + " is not a file any more"));
        while (left > 0) {
            const ssize_t n = ::read(fd.get(), buffer_.data(), std::min<std::uint64_t>(left, buffer_.size()));
            if (n < 0)
                return fail(os_error(errno, "cannot read " + what));
            if (n == 0)
                return fail(bad_input(what + " is shorter than it was"));
            TRY_VOID(sink_({buffer_.data(), static_cast<std::size_t>(n)}));
            left -= static_cast<std::uint64_t>(n);
        }
        return {};
    }

    int tree_;
    const Sink& sink_;
    std::string line_{};
    std::vector<char> buffer_ = std::vector<char>(chunk);
};

} // namespace

Result<void> rebuild_tar(int list, int tree, const std::function<Result<void>(std::string_view)>& sink) {
    const auto gzip = Decompressor::make(Compression::gzip);
    Rebuilder rebuilder{tree, sink};
    std::vector<char> buffer(chunk);
    for (;;) {
        const ssize_t n = ::read(list, buffer.data(), buffer.size());
        if (n < 0)
            return fail(os_error(errno, "cannot read the list of a layer"));
        if (n == 0)
            break;
        TRY_VOID(gzip->feed({buffer.data(), static_cast<std::size_t>(n)},
                            [&](std::string_view data) { return rebuilder.feed(data); }));
    }
    TRY_VOID(gzip->finish().context("the list of a layer"));
    return rebuilder.finish();
}

} // namespace ctrd::image

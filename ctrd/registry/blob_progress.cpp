#include "ctrd/registry/blob_progress.hpp"

#include <charconv>

namespace ctrd::registry {
namespace {

Error wrong(const Descriptor& wanted, const std::string& why) {
    return {std::errc::bad_message, "blob " + wanted.digest.text() + " is not what it should be: " + why, ""};
}

/// A whole number at the front of `text`, which is taken off.
bool take_number(std::string_view& text, std::uint64_t& number) {
    const auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (err != std::errc{})
        return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

bool take(std::string_view& text, std::string_view part) {
    if (!text.starts_with(part))
        return false;
    text.remove_prefix(part.size());
    return true;
}

} // namespace

BlobProgress BlobProgress::counted(Descriptor wanted, std::uint64_t from) {
    BlobProgress progress{std::move(wanted)};
    progress.hasher_.reset();
    progress.done_ = from;
    return progress;
}

Result<void> BlobProgress::add(std::string_view data) {
    if (data.size() > left())
        return fail(
            wrong(wanted_, "it has more than the " + std::to_string(wanted_.size) + " bytes that were announced"));
    if (hasher_)
        hasher_->update(data);
    done_ += data.size();
    return {};
}

Result<void> BlobProgress::finish() {
    if (left() != 0)
        return fail(
            wrong(wanted_, "it has only " + std::to_string(done_) + " of " + std::to_string(wanted_.size) + " bytes"));
    if (!hasher_)
        return {};
    const image::Digest found = hasher_->finish();
    if (found != wanted_.digest)
        return fail(wrong(wanted_, "its digest is " + found.text()));
    return {};
}

Result<ContentRange> parse_content_range(std::string_view value) {
    ContentRange range;
    std::string_view rest = value;
    bool good = take(rest, "bytes ") && take_number(rest, range.first) && take(rest, "-") &&
                take_number(rest, range.last) && take(rest, "/");
    good = good && (rest == "*" || (take_number(rest, range.total) && rest.empty()));
    if (!good || range.last < range.first || (range.total != 0 && range.last >= range.total))
        return fail(bad_input("'" + printable(value.substr(0, 100)) + "' is no range of bytes (Content-Range)"));
    return range;
}

} // namespace ctrd::registry

// Copying into and out of a running container. Everything below the container's root is reached by descriptors and
// openat2(2) alone, with the rights of the container's own root user; the stream is tar, or one file's bytes.
#pragma once

#include "ctrd/base/fd.hpp"

#include <sys/types.h>

struct archive;

namespace ctrd::copy {

struct Request {
    pid_t leader{0};
    std::uint64_t leader_start{0};
    std::string path{}; // in the container
    std::string name{}; // what is copied in is called so if `path` is a folder
    bool single{false}; // one file's bytes, not tar
    mode_t mode{0644};
};

Result<Request> parse_request(const std::string& json);

/// The container's root folder, as its processes see it, after this process has taken its root user's identity.
Result<UniqueFd> enter(const std::string& container, const Request& request);

/// stdin into the container.
Result<void> receive(int root, const Request& request);
/// Out of the container to stdout.
Result<void> send(int root, const Request& request);

/// What libarchive says of its last failure.
Error archive_failure(archive* handle, std::string_view doing);

} // namespace ctrd::copy

// The verbs of `ctrctl image`, by file: image_load.cpp and image_pull.cpp bring, image_push.cpp and image_save.cpp
// send, image_show.cpp, image_diff.cpp and
// image_referrers.cpp show, image_keep.cpp names and removes.
#pragma once

#include "ctrd/image/store.hpp"
#include "tools/ctrctl/outcome.hpp"
#include "tools/ctrctl/verbs.hpp"

namespace ctrd::ctl {

int image_load(const ImageOptions& options);
int image_import(const ImageOptions& options);
int image_pull(const ImageOptions& options);
int image_push(const ImageOptions& options);
int image_save(const ImageOptions& options);
int image_referrers(const ImageOptions& options);
int image_diff(const ImageOptions& options);
int image_list(const ImageOptions& options);
int image_inspect(const ImageOptions& options);
int image_history(const ImageOptions& options);
int image_tree(const ImageOptions& options);
int image_tag(const ImageOptions& options);
int image_remove(const ImageOptions& options);
int image_prune(const ImageOptions& options);
int image_verify(const ImageOptions& options);

std::string store_path(const ImageOptions& options);
/// Images are root's, all of them: what is refused says so.
Outcome<image::Store> open_store(const ImageOptions& options, bool to_write);
/// exit_no_container for what is not there.
int report_image(const Error& error);

} // namespace ctrd::ctl

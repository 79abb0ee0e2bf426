// gzip, by ISA-L: as every registry and every other program takes layers.
#pragma once

#include "ctrd/base/result.hpp"

#include <functional>
#include <memory>

namespace ctrd::image {

class Gzipper {
public:
    using Sink = std::function<Result<void>(std::string_view)>;
    explicit Gzipper(Sink sink);
    Gzipper(const Gzipper&) = delete;
    Gzipper& operator=(const Gzipper&) = delete;
    ~Gzipper();

    Result<void> feed(std::string_view data);
    Result<void> finish();

private:
    struct State;
    Result<void> run();
    Sink sink_;
    std::unique_ptr<State> state_;
};

} // namespace ctrd::image

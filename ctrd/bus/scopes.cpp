#include "ctrd/bus/scopes.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <memory>

namespace ctrd::bus {

void Scopes::make(const systemd::ScopeRequest& request, pid_t pid, UniqueFd asker) {
    units_.make_scope(request, pid,
                      [this, unit = request.unit, asker = std::make_shared<UniqueFd>(std::move(asker))](
                          const Result<std::string>& end) { answer(unit, std::move(*asker), end); });
}

void Scopes::answer(const std::string& unit, UniqueFd asker, const Result<std::string>& end) {
    if (end && *end == "done")
        return await_ok(unit, std::move(asker));
    const std::string why = end ? "systemd's job ended as '" + *end + "'" : to_text(end.error());
    [[maybe_unused]] auto told = send_fds(asker.get(), "error " + why, {});
}

void Scopes::await_ok(const std::string& unit, UniqueFd asker) {
    auto& made = made_.emplace_back(Made{this, unit, std::move(asker), {}});
    sd_event_source* source = nullptr;
    const int r = sd_event_add_io(event_, &source, made.asker.get(), EPOLLIN, on_ok, &made);
    made.source.reset(source);
    if (r < 0 || !send_fds(made.asker.get(), "done", {})) {
        units_.stop_scope(unit);
        made_.pop_back();
    }
}

int Scopes::on_ok(sd_event_source*, int fd, std::uint32_t, void* userdata) noexcept {
    const auto& made = *static_cast<Made*>(userdata);
    auto& owner = *made.owner;
    char byte = 0;
    if (::read(fd, &byte, 1) != 1)
        owner.units_.stop_scope(made.unit);
    owner.made_.remove_if([&](const Made& one) { return &one == &made; });
    return 0;
}

} // namespace ctrd::bus

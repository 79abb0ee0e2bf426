// Who may change something: root, and whom polkit lets.
#pragma once

#include "ctrd/bus/callers.hpp"

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

namespace ctrd::bus {

namespace action {
constexpr const char* manage = "io.ctrd1.manage-containers";
constexpr const char* exec = "io.ctrd1.exec";
constexpr const char* set_properties = "io.ctrd1.set-properties";
constexpr const char* copy = "io.ctrd1.copy-files";
constexpr const char* bind_mount = "io.ctrd1.bind-mount";
constexpr const char* read_logs = "io.ctrd1.read-logs";
constexpr const char* create = "io.ctrd1.create-containers";
} // namespace action

class Authority {
public:
    Authority(sd_bus* bus, Callers& callers);
    ~Authority();
    Authority(const Authority&) = delete;
    Authority& operator=(const Authority&) = delete;

    /// Does `then` for a caller who may, when the bus and polkit have answered; anybody else is answered here. Returns
    /// what a method handler returns.
    using Then = Callers::Then;
    int check(sd_bus_message* call, const char* action, const std::string& container, Then then);

private:
    struct Question;
    void ask(std::unique_ptr<Question> question);
    std::unique_ptr<Question> take(const Question* question);
    static int on_answer(sd_bus_message* answer, void* userdata, sd_bus_error* error) noexcept;

    sd_bus* bus_;
    Callers& callers_;
    std::set<std::unique_ptr<Question>> questions_;
    std::map<uid_t, unsigned> waiting_{};
};

} // namespace ctrd::bus

#include "ctrd/oci/reader.hpp"

namespace ctrd::oci {
namespace {

bool is_empty(const Json& value) {
    return value.is_null() || ((value.is_structured() || value.is_string()) && value.empty()) ||
           (value.is_string() && value.get_ref<const std::string&>().empty());
}

} // namespace

Result<std::string> checked_string(const Json& value, const std::string& place) {
    if (!value.is_string())
        return fail(bad_input(place + " is not a string"));
    const auto& text = value.get_ref<const std::string&>();
    if (text.find('\0') != std::string::npos)
        return fail(bad_input(place + " holds a NUL byte"));
    return text;
}

Result<Reader> Reader::root(const Json& object) {
    if (!object.is_object())
        return fail(bad_input("the top of the document is not an object"));
    return Reader{object, ""};
}

std::string Reader::at(std::string_view key) const {
    return place_.empty() ? std::string{key} : place_ + "." + std::string{key};
}

const Json* Reader::find(const char* key) const {
    const auto it = object_->find(key);
    return it == object_->end() || it->is_null() ? nullptr : &*it;
}

Result<std::optional<Reader>> Reader::object(const char* key) const {
    const Json* value = find(key);
    if (value == nullptr)
        return std::optional<Reader>{};
    if (!value->is_object())
        return fail(bad_input(at(key) + " is not an object"));
    return std::optional<Reader>{Reader{*value, at(key)}};
}

Result<std::vector<Reader>> Reader::objects(const char* key) const {
    std::vector<Reader> result;
    const Json* value = find(key);
    if (value == nullptr)
        return result;
    if (!value->is_array())
        return fail(bad_input(at(key) + " is not an array"));
    result.reserve(value->size());
    for (std::size_t i = 0; i < value->size(); ++i) {
        std::string place = at(key) + "[" + std::to_string(i) + "]";
        if (!(*value)[i].is_object())
            return fail(bad_input(place + " is not an object"));
        result.emplace_back((*value)[i], std::move(place));
    }
    return result;
}

Result<std::vector<std::string>> Reader::strings(const char* key) const {
    std::vector<std::string> result;
    const Json* value = find(key);
    if (value == nullptr)
        return result;
    if (!value->is_array())
        return fail(bad_input(at(key) + " is not an array"));
    result.reserve(value->size());
    for (std::size_t i = 0; i < value->size(); ++i) {
        // The place is only put together for a message: the 437 names of a seccomp profile pass through here.
        const Json& item = (*value)[i];
        if (!item.is_string() || item.get_ref<const std::string&>().find('\0') != std::string::npos)
            return fail(checked_string(item, at(key) + "[" + std::to_string(i) + "]").error());
        result.push_back(item.get_ref<const std::string&>());
    }
    return result;
}

Result<std::string> Reader::string(const char* key) const {
    const Json* value = find(key);
    if (value == nullptr)
        return std::string{};
    return checked_string(*value, at(key));
}

Result<std::string> Reader::required_string(const char* key) const {
    std::string value = TRY(string(key));
    if (value.empty())
        return fail(bad_input(at(key) + " is missing"));
    return value;
}

Result<bool> Reader::boolean(const char* key) const {
    const Json* value = find(key);
    if (value == nullptr)
        return false;
    if (!value->is_boolean())
        return fail(bad_input(at(key) + " is neither true nor false"));
    return value->get<bool>();
}

Result<void> Reader::refuse(std::initializer_list<const char*> keys) const {
    for (const char* key : keys)
        if (const Json* value = find(key); value != nullptr && !is_empty(*value))
            return fail(Error{std::errc::not_supported, at(key) + " is not supported by this version of ctrd",
                              "remove it from config.json, or use another runtime for this container"});
    return {};
}

} // namespace ctrd::oci

#include "tools/ctr-oci/criu_message.hpp"

#include <optional>

namespace ctrd::ctr_oci {
namespace {

enum WireType : unsigned { is_varint = 0, is_fixed64 = 1, is_bytes = 2, is_fixed32 = 5 };

struct Field {
    unsigned number{0};
    std::uint64_t value{0};
    std::string_view bytes{};
};

class Reader {
public:
    explicit Reader(std::string_view rest) : rest_{rest} {}

    /// None: the end, or what is no message (damaged()).
    std::optional<Field> next() {
        if (rest_.empty())
            return std::nullopt;
        const std::uint64_t key = varint();
        Field field;
        field.number = static_cast<unsigned>(key >> 3U);
        switch (key & 7U) {
        case is_varint:
            field.value = varint();
            break;
        case is_bytes:
            field.bytes = take(varint());
            break;
        case is_fixed64:
            take(8);
            break;
        case is_fixed32:
            take(4);
            break;
        default:
            damaged_ = true;
        }
        return damaged_ ? std::nullopt : std::optional{field};
    }
    [[nodiscard]] bool damaged() const { return damaged_; }

private:
    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
            const auto byte = static_cast<unsigned char>(rest_.front());
            rest_.remove_prefix(1);
            value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
            if ((byte & 0x80U) == 0)
                return value;
        }
        damaged_ = true;
        return 0;
    }
    std::string_view take(std::uint64_t size) {
        if (size > rest_.size()) {
            damaged_ = true;
            return {};
        }
        const std::string_view taken = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return taken;
    }

    std::string_view rest_;
    bool damaged_{false};
};

bool read_restored(std::string_view bytes, CriuReply& reply) {
    Reader reader{bytes};
    while (const auto field = reader.next())
        if (field->number == 1)
            reply.pid = static_cast<pid_t>(field->value);
    return !reader.damaged();
}

bool read_notification(std::string_view bytes, CriuReply& reply) {
    Reader reader{bytes};
    while (const auto field = reader.next())
        if (field->number == 1)
            reply.script = field->bytes;
        else if (field->number == 2)
            reply.script_pid = static_cast<pid_t>(field->value);
    return !reader.damaged();
}

} // namespace

void CriuMessage::varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7U)
        bytes_ += static_cast<char>(value | 0x80U);
    bytes_ += static_cast<char>(value);
}

CriuMessage& CriuMessage::number(unsigned field, std::uint64_t value) {
    varint(field << 3U | is_varint);
    varint(value);
    return *this;
}

CriuMessage& CriuMessage::text(unsigned field, std::string_view value) {
    varint(field << 3U | is_bytes);
    varint(value.size());
    bytes_ += value;
    return *this;
}

Result<CriuReply> parse_criu_reply(std::string_view bytes) {
    CriuReply reply;
    Reader reader{bytes};
    bool good = !bytes.empty();
    while (const auto field = reader.next()) {
        if (field->number == 1)
            reply.type = static_cast<CriuType>(field->value);
        else if (field->number == 2)
            reply.success = field->value != 0;
        else if (field->number == 4)
            good = good && read_restored(field->bytes, reply);
        else if (field->number == 5)
            good = good && read_notification(field->bytes, reply);
        else if (field->number == 7)
            reply.error = static_cast<int>(field->value);
        else if (field->number == 9)
            reply.message = field->bytes;
    }
    if (!good || reader.damaged())
        return fail(bad_input("criu's answer is none of its protocol's"));
    return reply;
}

} // namespace ctrd::ctr_oci

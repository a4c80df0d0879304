// SPDX-License-Identifier: Apache-2.0
// One list of a message's fields makes both its encoder and its decoder.
//
// A message has a function template `fields` beside it, which names each field once, in the order
// of the wire format:
//
//     void fields(auto& archive, FieldsOf<AckMessage> auto& ack) { archive.u64(ack.epoch); }
//
// encode_fields() calls it with a FieldWriter and a constant message, decode_fields() with a
// FieldReader and a message to fill. Both archives have the same members. What a member's limit or
// a check() refuses makes decoding fail; encoding ignores limits, because the receiver has to
// enforce them anyway.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <type_traits>

#include "base/byte_codec.h"
#include "base/result.h"
#include "base/text.h"

namespace fmvm {

// A `Message`, constant or not.
template <typename T, typename Message>
concept FieldsOf = std::same_as<std::remove_const_t<T>, Message>;

// How many elements a list may have, and the least number of bytes that one of them takes.
struct ListLimits {
    std::size_t element_bytes_min;
    std::size_t count_max = SIZE_MAX;
    std::size_t count_min = 0;
};

class FieldWriter {
  public:
    explicit FieldWriter(ByteWriter& out) : out_(out) {}

    void u8(std::uint8_t value) { out_.u8(value); }
    void u16(std::uint16_t value) { out_.u16(value); }
    void u32(std::uint32_t value) { out_.u32(value); }
    void u64(std::uint64_t value) { out_.u64(value); }
    void flag(bool value) { out_.flag(value); }
    // One byte. `last` is the enumerator with the highest value.
    template <typename Enum>
    void enumeration(Enum value, Enum /*last*/) {
        out_.u8(static_cast<std::uint8_t>(value));
    }
    // A fixed number of bytes, without a length before them.
    template <std::size_t size>
    void raw(const std::array<std::uint8_t, size>& bytes) {
        out_.raw(bytes);
    }
    // Length (32 bits) and bytes.
    void blob(std::span<const std::uint8_t> bytes, std::size_t /*bytes_max*/ = SIZE_MAX) {
        out_.blob(bytes);
    }
    void text(const std::string& text, std::size_t /*bytes_max*/) { out_.text(text); }
    // Text for people. It leaves cut to `bytes_max` and as printable ASCII, and is refused
    // otherwise: this is where a peer's text enters.
    void readable_text(const std::string& text, std::size_t bytes_max) {
        out_.text(printable_ascii(text.substr(0, bytes_max)));
    }
    template <typename T>
    void abi_struct(const T& value) {
        out_.abi_struct(value);
    }
    // Count (32 bits) and elements. `element_fields(archive, element)` names the fields of one.
    template <typename T, typename ElementFields>
    void list(const std::vector<T>& elements, ListLimits /*limits*/, ElementFields element_fields) {
        out_.u32(static_cast<std::uint32_t>(elements.size()));
        for (const T& element : elements)
            element_fields(*this, element);
    }
    // What must hold of the fields before, or the message is refused.
    void check(bool /*condition*/) {}

  private:
    ByteWriter& out_;
};

// After a failure every field is empty or zero, and the reader stays failed.
class FieldReader {
  public:
    explicit FieldReader(ByteReader& in) : in_(in) {}

    void u8(std::uint8_t& value) { value = in_.u8(); }
    void u16(std::uint16_t& value) { value = in_.u16(); }
    void u32(std::uint32_t& value) { value = in_.u32(); }
    void u64(std::uint64_t& value) { value = in_.u64(); }
    void flag(bool& value) { value = in_.flag(); }
    template <typename Enum>
    void enumeration(Enum& value, Enum last) {
        const std::uint8_t byte = in_.u8();
        check(byte <= static_cast<std::uint8_t>(last));
        value = in_.ok() ? static_cast<Enum>(byte) : Enum{};
    }
    template <std::size_t size>
    void raw(std::array<std::uint8_t, size>& bytes) {
        std::ranges::copy(in_.raw(size), bytes.begin());
    }
    void blob(std::vector<std::uint8_t>& bytes, std::size_t bytes_max = SIZE_MAX) {
        const std::span<const std::uint8_t> found = in_.blob(bytes_max);
        bytes.assign(found.begin(), found.end());
    }
    void text(std::string& text, std::size_t bytes_max) { text = in_.text(bytes_max); }
    void readable_text(std::string& text, std::size_t bytes_max) {
        text = in_.text(bytes_max);
        check(is_printable_ascii(text));
    }
    template <typename T>
    void abi_struct(T& value) {
        value = in_.abi_struct<T>();
    }
    template <typename T, typename ElementFields>
    void list(std::vector<T>& elements, ListLimits limits, ElementFields element_fields) {
        const std::uint32_t count = in_.count(limits.element_bytes_min);
        check(count >= limits.count_min && count <= limits.count_max);
        elements.clear();
        if (in_.ok()) elements.reserve(count);
        for (std::uint32_t i = 0; i < count && in_.ok(); ++i)
            element_fields(*this, elements.emplace_back());
    }
    void check(bool condition) {
        if (!condition) in_.fail();
    }

  private:
    ByteReader& in_;
};

// `bytes_expected` saves copying while a large message grows.
template <typename Message>
std::vector<std::uint8_t> encode_fields(const Message& message, std::size_t bytes_expected = 0) {
    ByteWriter out;
    out.reserve(bytes_expected);
    FieldWriter archive(out);
    fields(archive, message);
    return out.take();
}

// The message, if `body` holds it and nothing else. `name` is for the error.
template <typename Message>
Result<Message> decode_fields(std::span<const std::uint8_t> body, const char* name) {
    ByteReader in(body);
    FieldReader archive(in);
    Message message;
    fields(archive, message);
    if (!in.done()) return make_error("a malformed {} message", name);
    return message;
}

}  // namespace fmvm

// Defines `Message::encode() const` and the static `Message::decode(body)`, declared in the class,
// by the fields of the message. Belongs behind them, in the namespace of the message.
#define FMVM_CODEC_BY_FIELDS(Message, name)                                       \
    std::vector<std::uint8_t> Message::encode() const {                           \
        return ::fmvm::encode_fields(*this);                                      \
    }                                                                             \
    ::fmvm::Result<Message> Message::decode(std::span<const std::uint8_t> body) { \
        return ::fmvm::decode_fields<Message>(body, name);                        \
    }

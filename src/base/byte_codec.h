// SPDX-License-Identifier: Apache-2.0
// Field-by-field little-endian encoding: the only way structured data leaves for, or comes from, a
// file or a peer.
//
// ByteWriter appends to a buffer of its own. ByteReader never reads past its end: the first field
// that does not fit makes it fail for good, every later read yields zeroes, and the caller looks at
// done() or ok() once at the end instead of after each field. Lengths are checked against what is
// there before anything is allocated.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace fmvm {

class ByteWriter {
  public:
    void reserve(std::size_t bytes) { bytes_.reserve(bytes); }
    void u8(std::uint8_t value) { put(value); }
    void u16(std::uint16_t value) { put(value); }
    void u32(std::uint32_t value) { put(value); }
    void u64(std::uint64_t value) { put(value); }
    void flag(bool value) { u8(value ? 1 : 0); }
    void raw(std::span<const std::uint8_t> bytes) {
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    }
    // Length (32 bits) and bytes.
    void blob(std::span<const std::uint8_t> bytes) {
        u32(static_cast<std::uint32_t>(bytes.size()));
        raw(bytes);
    }
    void text(std::string_view text) {
        blob({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    }
    // A structure of a fixed public ABI (KVM's), with its size before it.
    template <typename T>
    void abi_struct(const T& value) {
        static_assert(std::is_trivially_copyable_v<T>);
        blob({reinterpret_cast<const std::uint8_t*>(&value), sizeof value});
    }

    std::size_t size() const { return bytes_.size(); }
    const std::vector<std::uint8_t>& bytes() const { return bytes_; }
    std::vector<std::uint8_t> take() { return std::move(bytes_); }

  private:
    template <typename T>
    void put(T value) {
        const auto* start = reinterpret_cast<const std::uint8_t*>(&value);
        bytes_.insert(bytes_.end(), start, start + sizeof value);
    }
    std::vector<std::uint8_t> bytes_;
};

class ByteReader {
  public:
    explicit ByteReader(std::span<const std::uint8_t> bytes) : left_(bytes) {}

    std::uint8_t u8() { return get<std::uint8_t>(); }
    std::uint16_t u16() { return get<std::uint16_t>(); }
    std::uint32_t u32() { return get<std::uint32_t>(); }
    std::uint64_t u64() { return get<std::uint64_t>(); }
    // 0 or 1; anything else fails.
    bool flag() {
        const std::uint8_t value = u8();
        if (value > 1) fail();
        return value == 1;
    }
    // The next `length` bytes, in the buffer read from; empty after a failure.
    std::span<const std::uint8_t> raw(std::size_t length) {
        if (length > left_.size()) fail();
        if (failed_) return {};
        const auto bytes = left_.first(length);
        left_ = left_.subspan(length);
        return bytes;
    }
    std::span<const std::uint8_t> blob(std::size_t length_max = SIZE_MAX) {
        const std::uint32_t length = u32();
        if (length > length_max) fail();
        return raw(failed_ ? 0 : length);
    }
    std::string text(std::size_t length_max) {
        const auto bytes = blob(length_max);
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
    template <typename T>
    T abi_struct() {
        static_assert(std::is_trivially_copyable_v<T>);
        const auto bytes = blob();
        T value{};
        if (bytes.size() != sizeof value) {
            fail();
        } else {
            std::memcpy(&value, bytes.data(), sizeof value);
        }
        return value;
    }
    // How many elements follow; fails when they cannot possibly fit, so that a hostile count
    // never becomes an allocation. element_bytes_min: the least that one of them takes.
    std::uint32_t count(std::size_t element_bytes_min) {
        const std::uint32_t value = u32();
        if (value > left_.size() / element_bytes_min) fail();
        return failed_ ? 0 : value;
    }

    void fail() {
        failed_ = true;
        left_ = {};
    }
    bool ok() const { return !failed_; }
    // Everything was read, and nothing is left over.
    bool done() const { return !failed_ && left_.empty(); }
    std::size_t remaining() const { return left_.size(); }

  private:
    template <typename T>
    T get() {
        T value{};
        const auto bytes = raw(sizeof value);
        if (!failed_) std::memcpy(&value, bytes.data(), sizeof value);
        return value;
    }
    std::span<const std::uint8_t> left_;
    bool failed_ = false;
};

}  // namespace fmvm

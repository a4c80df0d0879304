// SPDX-License-Identifier: Apache-2.0
// Where the bytes of a kernel or an initrd come from: a file, or memory (an unpacked payload, a
// test).
//
// Files are read with pread(), not mapped: a mapped file that shrinks kills the process with
// SIGBUS, a short read is an ordinary error; each header is copied once, so it cannot change
// between check and use; and a segment goes from the page cache straight into guest RAM, one copy
// without a page fault on the source side.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/result.h"
#include "base/unique_fd.h"
#include "vmm/memory/guest_memory.h"

namespace fmvm::boot {

class ImageSource {
  public:
    virtual ~ImageSource() = default;

    std::uint64_t size() const { return size_; }
    // For messages: "kernel /boot/vmlinuz".
    const std::string& name() const { return name_; }

    // All of [offset, offset + out.size()), or an error that says the file is truncated.
    Result<void> read(std::uint64_t offset, std::span<std::uint8_t> out) const;
    // The same, straight into guest RAM, marked dirty. The range must be RAM.
    Result<void> read_to_guest(std::uint64_t offset, std::uint64_t length, GuestMemory& memory,
                               GuestAddress address) const;

    template <typename T>
    Result<T> read_object(std::uint64_t offset) const {
        static_assert(std::is_trivially_copyable_v<T>);
        T object;
        FMVM_TRY(read(offset, {reinterpret_cast<std::uint8_t*>(&object), sizeof object}));
        return object;
    }

    // An error that names the file first.
    template <typename... Args>
    Error error(fmt::format_string<Args...> format, Args&&... args) const {
        return Error(name_ + ": " + fmt::format(format, std::forward<Args>(args)...));
    }

  protected:
    ImageSource(std::string name, std::uint64_t size) : name_(std::move(name)), size_(size) {}
    ImageSource(ImageSource&&) = default;

  private:
    // The range lies within size().
    virtual Result<void> fetch(std::uint64_t offset, std::span<std::uint8_t> out) const = 0;

    std::string name_;
    std::uint64_t size_;
};

class FileSource final : public ImageSource {
  public:
    // role is "kernel" or "initrd": the option that named the file, without its dashes.
    static Result<FileSource> open(std::string_view role, const std::string& path);

  private:
    FileSource(std::string name, std::uint64_t size, UniqueFd fd)
        : ImageSource(std::move(name), size), fd_(std::move(fd)) {}
    Result<void> fetch(std::uint64_t offset, std::span<std::uint8_t> out) const override;

    UniqueFd fd_;
};

// The bytes must outlive the source.
class BytesSource final : public ImageSource {
  public:
    BytesSource(std::string name, std::span<const std::uint8_t> bytes)
        : ImageSource(std::move(name), bytes.size()), bytes_(bytes) {}

  private:
    Result<void> fetch(std::uint64_t offset, std::span<std::uint8_t> out) const override;

    std::span<const std::uint8_t> bytes_;
};

}  // namespace fmvm::boot

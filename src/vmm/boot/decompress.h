// SPDX-License-Identifier: Apache-2.0
// The compressions a bzImage payload may have (Linux Documentation/arch/x86/boot.rst,
// payload_offset), unpacked in one call each from and into plain memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"

namespace fmvm::boot {

enum class Compression { gzip, bzip2, lzma, xz, lz4, zstd };

std::string_view to_string(Compression compression);

// By the magic number at its start; nothing when it is none that is known here.
std::optional<Compression> identify_compression(std::span<const std::uint8_t> payload);

// Fills the front of out and returns how much. Bytes behind the compressed stream are ignored: the
// kernel build appends the unpacked size there, which nothing here needs or trusts. The error
// continues a sentence that begins with the payload ("is damaged ...").
// payload and out hold at most 1 GiB each (the libraries count in 32 bits).
Result<std::size_t> decompress(Compression compression, std::span<const std::uint8_t> payload,
                               std::span<std::uint8_t> out);

}  // namespace fmvm::boot

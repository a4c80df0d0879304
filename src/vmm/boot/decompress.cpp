// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/decompress.h"

#include <bzlib.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>

#include "base/little_endian.h"
#include "base/units.h"

namespace fmvm::boot {

namespace {

using Input = std::span<const std::uint8_t>;
using Output = std::span<std::uint8_t>;

constexpr std::uint32_t lz4_legacy_magic = 0x184c2102;
constexpr std::size_t lz4_legacy_block = 8 * mib;
// xz -9 needs 65 MiB, the 128 MiB dictionary of recent kernel builds twice that.
constexpr std::uint64_t lzma_memory_max = 256 * mib;

Error damaged(std::string_view detail) {
    return make_error("is damaged ({}); copy or install the kernel again", detail);
}

Error too_large(Output out) {
    return make_error(
        "unpacks to more than {} MiB; give the guest more --memory, or install the "
        "kernel again",
        out.size() / mib);
}

Result<std::size_t> unpack_gzip(Input payload, Output out) {
    z_stream stream{};
    constexpr int gzip_header_only = 16;  // zlib.h, inflateInit2
    if (::inflateInit2(&stream, gzip_header_only + MAX_WBITS) != Z_OK) {
        return Error("cannot be unpacked: out of memory");
    }
    stream.next_in = const_cast<Bytef*>(payload.data());
    stream.avail_in = static_cast<uInt>(payload.size());
    stream.next_out = out.data();
    stream.avail_out = static_cast<uInt>(out.size());
    const int status = ::inflate(&stream, Z_FINISH);
    ::inflateEnd(&stream);
    if (status == Z_STREAM_END) return std::size_t{stream.total_out};
    if (status == Z_BUF_ERROR && stream.avail_out == 0) return too_large(out);
    return damaged(status == Z_BUF_ERROR ? "it ends too early" : "invalid gzip data");
}

Result<std::size_t> unpack_bzip2(Input payload, Output out) {
    bz_stream stream{};
    if (::BZ2_bzDecompressInit(&stream, 0, 0) != BZ_OK) {
        return Error("cannot be unpacked: out of memory");
    }
    stream.next_in = const_cast<char*>(reinterpret_cast<const char*>(payload.data()));
    stream.avail_in = static_cast<unsigned>(payload.size());
    stream.next_out = reinterpret_cast<char*>(out.data());
    stream.avail_out = static_cast<unsigned>(out.size());
    const int status = ::BZ2_bzDecompress(&stream);
    ::BZ2_bzDecompressEnd(&stream);
    if (status == BZ_STREAM_END) return out.size() - stream.avail_out;
    if (status == BZ_OK && stream.avail_out == 0) return too_large(out);
    return damaged(status == BZ_OK ? "it ends too early" : "invalid bzip2 data");
}

// .xz and the older .lzma alike.
Result<std::size_t> unpack_lzma(Input payload, Output out) {
    lzma_stream stream = LZMA_STREAM_INIT;
    if (::lzma_auto_decoder(&stream, lzma_memory_max, 0) != LZMA_OK) {
        return Error("cannot be unpacked: out of memory");
    }
    stream.next_in = payload.data();
    stream.avail_in = payload.size();
    stream.next_out = out.data();
    stream.avail_out = out.size();
    const lzma_ret status = ::lzma_code(&stream, LZMA_RUN);
    ::lzma_end(&stream);
    if (status == LZMA_STREAM_END) return out.size() - stream.avail_out;
    if (status == LZMA_OK && stream.avail_out == 0) return too_large(out);
    if (status == LZMA_MEMLIMIT_ERROR) return damaged("it asks for an enormous dictionary");
    return damaged(status == LZMA_OK ? "it ends too early" : "invalid xz or lzma data");
}

// The legacy frame format (lz4_Frame_format.md, "Legacy frame"): the magic, then blocks of at most
// 8 MiB unpacked, each behind its compressed length, with neither end mark nor checksum. Four last
// bytes are the size that the kernel build appends: a block that short cannot exist.
Result<std::size_t> unpack_lz4(Input payload, Output out) {
    constexpr std::size_t field = sizeof(std::uint32_t);
    std::size_t consumed = field;
    std::size_t produced = 0;
    while (payload.size() - consumed > field) {
        const std::size_t length = load_le<std::uint32_t>(payload, consumed);
        consumed += field;
        if (length == lz4_legacy_magic) continue;  // concatenated frames
        if (length > payload.size() - consumed) return damaged("it ends within an LZ4 block");
        const std::size_t room = std::min(lz4_legacy_block, out.size() - produced);
        const int count =
            ::LZ4_decompress_safe(reinterpret_cast<const char*>(payload.data() + consumed),
                                  reinterpret_cast<char*>(out.data() + produced),
                                  static_cast<int>(length), static_cast<int>(room));
        if (count < 0)
            return room < lz4_legacy_block ? too_large(out) : damaged("invalid LZ4 data");
        consumed += length;
        produced += static_cast<std::size_t>(count);
    }
    const std::size_t rest = payload.size() - consumed;
    if (rest != 0 && rest != field) return damaged("it ends within an LZ4 block");
    return produced;
}

// One call with the whole output at hand: no window has to be kept, whatever size the frame wants.
Result<std::size_t> unpack_zstd(Input payload, Output out) {
    const std::size_t frame = ::ZSTD_findFrameCompressedSize(payload.data(), payload.size());
    if (::ZSTD_isError(frame)) return damaged(::ZSTD_getErrorName(frame));
    const std::size_t count = ::ZSTD_decompress(out.data(), out.size(), payload.data(), frame);
    if (!::ZSTD_isError(count)) return count;
    if (::ZSTD_getErrorCode(count) == ZSTD_error_dstSize_tooSmall) return too_large(out);
    return damaged(::ZSTD_getErrorName(count));
}

struct Format {
    Compression compression;
    std::string_view name;
    std::string_view magic;
    Result<std::size_t> (*unpack)(Input, Output);
};

using namespace std::string_view_literals;

// In the order of enum Compression.
constexpr std::array<Format, 6> formats{{
    {Compression::gzip, "gzip", "\x1f\x8b"sv, unpack_gzip},
    {Compression::bzip2, "bzip2", "BZh"sv, unpack_bzip2},
    {Compression::lzma, "LZMA", "\x5d\x00\x00"sv, unpack_lzma},
    {Compression::xz, "xz",
     "\xfd"
     "7zXZ\x00"sv,
     unpack_lzma},
    {Compression::lz4, "LZ4", "\x02\x21\x4c\x18"sv, unpack_lz4},
    {Compression::zstd, "zstd", "\x28\xb5\x2f\xfd"sv, unpack_zstd},
}};

const Format& format_of(Compression compression) {
    return formats[static_cast<std::size_t>(compression)];
}

}  // namespace

std::string_view to_string(Compression compression) {
    return format_of(compression).name;
}

std::optional<Compression> identify_compression(std::span<const std::uint8_t> payload) {
    const std::string_view head(reinterpret_cast<const char*>(payload.data()), payload.size());
    for (const Format& format : formats) {
        if (head.starts_with(format.magic)) return format.compression;
    }
    return std::nullopt;
}

Result<std::size_t> decompress(Compression compression, Input payload, Output out) {
    FMVM_CHECK(payload.size() <= gib && out.size() <= gib);
    FMVM_CHECK(identify_compression(payload) == compression);
    return format_of(compression).unpack(payload, out);
}

}  // namespace fmvm::boot

// SPDX-License-Identifier: Apache-2.0
#include "support/boot_images.h"

#include <bzlib.h>
#include <elf.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>

#include "base/check.h"
#include "base/units.h"

namespace fmvm::test {

namespace {

template <typename T>
void append(Bytes& bytes, const T& object) {
    const auto* begin = reinterpret_cast<const std::uint8_t*>(&object);
    bytes.insert(bytes.end(), begin, begin + sizeof object);
}

void append_bytes(Bytes& bytes, std::span<const std::uint8_t> more) {
    bytes.insert(bytes.end(), more.begin(), more.end());
}

void pad(Bytes& bytes, std::uint64_t alignment) {
    bytes.resize(align_up(bytes.size(), alignment));
}

Bytes gzip(std::span<const std::uint8_t> plain) {
    z_stream stream{};
    FMVM_CHECK(::deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, 0) == Z_OK);
    Bytes out(::deflateBound(&stream, plain.size()));
    stream.next_in = const_cast<Bytef*>(plain.data());
    stream.avail_in = static_cast<uInt>(plain.size());
    stream.next_out = out.data();
    stream.avail_out = static_cast<uInt>(out.size());
    FMVM_CHECK(::deflate(&stream, Z_FINISH) == Z_STREAM_END);
    out.resize(stream.total_out);
    ::deflateEnd(&stream);
    return out;
}

Bytes bzip2(std::span<const std::uint8_t> plain) {
    auto size = static_cast<unsigned>(plain.size() + plain.size() / 50 + 1024);
    Bytes out(size);
    auto* source = const_cast<char*>(reinterpret_cast<const char*>(plain.data()));
    FMVM_CHECK(::BZ2_bzBuffToBuffCompress(reinterpret_cast<char*>(out.data()), &size, source,
                                          static_cast<unsigned>(plain.size()), 9, 0, 0) == BZ_OK);
    out.resize(size);
    return out;
}

Bytes lzma(boot::Compression compression, std::span<const std::uint8_t> plain) {
    lzma_stream stream = LZMA_STREAM_INIT;
    lzma_options_lzma options;
    FMVM_CHECK(::lzma_lzma_preset(&options, 1) == 0);
    const lzma_ret ready = compression == boot::Compression::xz
                               ? ::lzma_easy_encoder(&stream, 1, LZMA_CHECK_CRC32)
                               : ::lzma_alone_encoder(&stream, &options);
    FMVM_CHECK(ready == LZMA_OK);
    Bytes out(plain.size() + plain.size() / 10 + 1024);
    stream.next_in = plain.data();
    stream.avail_in = plain.size();
    stream.next_out = out.data();
    stream.avail_out = out.size();
    FMVM_CHECK(::lzma_code(&stream, LZMA_FINISH) == LZMA_STREAM_END);
    out.resize(out.size() - stream.avail_out);
    ::lzma_end(&stream);
    return out;
}

Bytes lz4(std::span<const std::uint8_t> plain) {
    constexpr std::size_t block = 8 * mib;
    Bytes out;
    append(out, std::uint32_t{0x184c2102});
    for (std::size_t offset = 0; offset < plain.size(); offset += block) {
        const auto part = plain.subspan(offset, std::min(block, plain.size() - offset));
        const auto size = static_cast<int>(part.size());
        Bytes packed(static_cast<std::size_t>(::LZ4_compressBound(size)));
        const int length = ::LZ4_compress_default(reinterpret_cast<const char*>(part.data()),
                                                  reinterpret_cast<char*>(packed.data()), size,
                                                  static_cast<int>(packed.size()));
        FMVM_CHECK(length > 0);
        append(out, length);
        append_bytes(out, std::span(packed).first(static_cast<std::size_t>(length)));
    }
    return out;
}

Bytes zstd(std::span<const std::uint8_t> plain) {
    Bytes out(::ZSTD_compressBound(plain.size()));
    out.resize(::ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), 3));
    return out;
}

}  // namespace

Bytes make_elf(const ElfSpec& spec) {
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    header.e_type = ET_EXEC;
    header.e_machine = EM_X86_64;
    header.e_version = EV_CURRENT;
    header.e_entry = spec.entry;
    header.e_phoff = sizeof header;
    header.e_ehsize = sizeof header;
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_phnum = static_cast<Elf64_Half>(spec.segments.size() + (spec.notes ? 1 : 0));

    Bytes image;
    append(image, header);
    std::uint64_t offset = sizeof header + header.e_phnum * sizeof(Elf64_Phdr);
    Bytes content;
    const auto add = [&](std::uint32_t type, std::uint64_t address, const Bytes& bytes,
                         std::uint64_t memory_size, std::uint64_t alignment) {
        Elf64_Phdr segment{};
        segment.p_type = type;
        segment.p_offset = offset + content.size();
        segment.p_vaddr = segment.p_paddr = address;
        segment.p_filesz = bytes.size();
        segment.p_memsz = memory_size == 0 ? bytes.size() : memory_size;
        segment.p_align = alignment;
        append(image, segment);
        append_bytes(content, bytes);
    };
    for (const ElfSegment& segment : spec.segments) {
        add(PT_LOAD, segment.address, segment.bytes, segment.memory_size, page_size);
    }
    if (spec.notes) add(PT_NOTE, 0, *spec.notes, 0, spec.note_alignment);
    append_bytes(image, content);
    return image;
}

Bytes make_note(const std::string& name, std::uint32_t type, std::span<const std::uint8_t> value,
                std::uint64_t alignment) {
    Bytes note;
    append(note, static_cast<std::uint32_t>(name.size() + 1));
    append(note, static_cast<std::uint32_t>(value.size()));
    append(note, type);
    append_bytes(note, {reinterpret_cast<const std::uint8_t*>(name.c_str()), name.size() + 1});
    pad(note, alignment);
    append_bytes(note, value);
    pad(note, alignment);
    return note;
}

Bytes make_pvh_note(std::uint64_t entry) {
    Bytes value;
    append(value, entry);
    return make_note("Xen", 18, value);
}

setup_header make_setup_header() {
    setup_header header{};
    header.setup_sects = 3;
    header.boot_flag = 0xaa55;
    header.jump = 0x6aeb;  // a short jump over the header, which ends at 0x26c
    header.header = 0x53726448;
    header.version = 0x020f;
    header.loadflags = LOADED_HIGH;
    header.initrd_addr_max = 0x7fffffff;
    header.kernel_alignment = 2 * mib;
    header.relocatable_kernel = 1;
    header.xloadflags = XLF_KERNEL_64;
    header.cmdline_size = 2047;
    header.pref_address = 2 * mib;
    header.init_size = 1 * mib;
    return header;
}

Bytes make_bzimage(const BzImageSpec& spec) {
    setup_header header = spec.header;
    const std::size_t setup_size = (1u + (header.setup_sects == 0 ? 4 : header.setup_sects)) * 512u;
    Bytes kernel(spec.stub_size, 0xcc);
    append_bytes(kernel, spec.payload);
    pad(kernel, 16);
    header.syssize = static_cast<std::uint32_t>(kernel.size() / 16);
    if (!spec.payload.empty()) {
        header.payload_offset = static_cast<std::uint32_t>(spec.stub_size);
        header.payload_length = static_cast<std::uint32_t>(spec.payload.size());
    }
    Bytes image(setup_size, 0xee);  // the real-mode code, which must not leak into boot_params
    patch(image, 0x1f1, header);
    append_bytes(image, kernel);
    return image;
}

Bytes compress(boot::Compression compression, std::span<const std::uint8_t> plain) {
    using boot::Compression;
    Bytes out = compression == Compression::gzip    ? gzip(plain)
                : compression == Compression::bzip2 ? bzip2(plain)
                : compression == Compression::lz4   ? lz4(plain)
                : compression == Compression::zstd  ? zstd(plain)
                                                    : lzma(compression, plain);
    if (compression != Compression::gzip) append(out, static_cast<std::uint32_t>(plain.size()));
    return out;
}

Bytes noise(std::size_t size, std::uint32_t seed) {
    Bytes bytes(size);
    for (std::uint8_t& byte : bytes) {
        seed = seed * 1664525 + 1013904223;
        byte = static_cast<std::uint8_t>(seed >> 24);
    }
    return bytes;
}

}  // namespace fmvm::test

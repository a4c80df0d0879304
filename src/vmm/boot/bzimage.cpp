// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/bzimage.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "vmm/board/layout.h"
#include "vmm/boot/decompress.h"
#include "vmm/boot/elf_image.h"
#include "vmm/boot/scratch_buffer.h"

namespace fmvm::boot {

namespace {

constexpr std::uint64_t header_offset = offsetof(boot_params, hdr);  // 0x1f1
constexpr std::uint64_t magic_offset = header_offset + offsetof(setup_header, header);
constexpr std::uint16_t version_min = 0x020c;  // 2.12: xloadflags
constexpr std::uint64_t entry64_offset = 0x200;
constexpr std::uint64_t unpacked_size_max = gib;

static_assert(header_offset == 0x1f1 && magic_offset == 0x202);

// The header ends 0x202 + (byte at 0x201) bytes into the file; what lies behind is code, which must
// not reach boot_params.
Result<setup_header> read_setup_header(const ImageSource& source) {
    const auto jump_distance = FMVM_TRY(source.read_object<std::uint8_t>(magic_offset - 1));
    const std::uint64_t length = magic_offset + jump_distance - header_offset;
    setup_header header{};
    FMVM_TRY(source.read(header_offset, {reinterpret_cast<std::uint8_t*>(&header),
                                         std::min<std::uint64_t>(length, sizeof header)}));
    return header;
}

Result<void> check_bootable(const ImageSource& source, const setup_header& header) {
    const std::uint16_t version = header.version;
    if (version < version_min) {
        return source.error(
            "speaks boot protocol {}.{:02}; a kernel with 2.12 (Linux 3.8) or "
            "later is needed",
            version >> 8, version & 0xff);
    }
    if ((header.xloadflags & XLF_KERNEL_64) == 0) {
        return source.error("is a 32-bit kernel; fmvm starts 64-bit x86-64 kernels only");
    }
    return {};
}

// Reads the payload and unpacks the ELF vmlinux in it; nothing when the compression is unknown.
struct Unpacked {
    ScratchBuffer buffer;
    std::size_t size;
};
Result<std::optional<Unpacked>> unpack(const ImageSource& source, const BzImage& image,
                                       std::uint64_t memory_size) {
    if (image.payload_size == 0) return std::optional<Unpacked>();
    ScratchBuffer packed = FMVM_TRY(ScratchBuffer::reserve(image.payload_size));
    FMVM_TRY(source.read(image.payload_offset, packed.bytes()));
    const auto compression = identify_compression(packed.bytes());
    if (!compression) return std::optional<Unpacked>();

    // No kernel that is larger than guest RAM could be loaded.
    ScratchBuffer unpacked =
        FMVM_TRY(ScratchBuffer::reserve(std::min(unpacked_size_max, memory_size)));
    const auto size = decompress(*compression, packed.bytes(), unpacked.bytes());
    if (!size.ok()) {
        return source.error("its {} payload {}", to_string(*compression), size.error().message());
    }
    return std::optional(Unpacked{std::move(unpacked), size.value()});
}

Result<GuestAddress> load_unpacked(const ImageSource& elf, GuestMemory& memory,
                                   Placement& placement) {
    if (!is_elf(elf)) return elf.error("is not an ELF kernel; copy or install the kernel again");
    const ElfImage image = FMVM_TRY(parse_elf(elf));
    FMVM_TRY(load_elf(elf, image, memory, placement));
    return image.entry;
}

// As it is: at the address it prefers, where its decompressor needs init_size bytes; a kernel that
// cannot be relocated starts at 1 MiB and moves there itself.
Result<GuestAddress> load_packed(const ImageSource& source, const BzImage& image,
                                 GuestMemory& memory, Placement& placement) {
    const std::uint64_t size = source.size() - image.kernel_offset;
    const GuestAddress preferred(image.header.pref_address);
    const GuestAddress start =
        image.header.relocatable_kernel != 0 ? preferred : layout::high_memory;
    const std::uint64_t work_size = std::max<std::uint64_t>(image.header.init_size, size);
    const std::uint64_t end = preferred.value() + work_size;
    if (end < work_size) return source.error("has a damaged setup header; copy it again");
    // One range from the lower of the two addresses, so that nothing is placed between them.
    const GuestAddress lowest = std::min(start, preferred);
    const GuestAddress highest = std::max(start + size, GuestAddress(end));
    FMVM_TRY(placement.claim(source, "the kernel", lowest, highest - lowest));
    FMVM_TRY(source.read_to_guest(image.kernel_offset, size, memory, start));
    return start + entry64_offset;
}

}  // namespace

bool is_bzimage(const ImageSource& source) {
    const auto boot_flag =
        source.read_object<std::uint16_t>(header_offset + offsetof(setup_header, boot_flag));
    const auto header_magic = source.read_object<std::uint32_t>(magic_offset);
    return boot_flag.ok() && boot_flag.value() == setup_boot_flag && header_magic.ok() &&
           header_magic.value() == setup_magic;
}

Result<BzImage> parse_bzimage(const ImageSource& source) {
    BzImage image;
    image.header = FMVM_TRY(read_setup_header(source));
    FMVM_TRY(check_bootable(source, image.header));

    constexpr std::uint64_t sector = 512;
    const std::uint64_t setup_sectors =
        image.header.setup_sects == 0 ? 4 : image.header.setup_sects;
    image.kernel_offset = (1 + setup_sectors) * sector;
    const std::uint64_t kernel_size = std::uint64_t{image.header.syssize} * 16;
    // Padding to 16 bytes may be missing at the very end; signatures may follow.
    const std::uint64_t needed = image.kernel_offset + (kernel_size < 16 ? 16 : kernel_size) - 15;
    if (source.size() < needed) {
        return source.error(
            "is truncated: its setup header promises {} bytes, it has {}; copy it "
            "again",
            image.kernel_offset + kernel_size, source.size());
    }
    image.payload_offset = image.kernel_offset + image.header.payload_offset;
    image.payload_size = image.header.payload_length;
    if (image.payload_size > unpacked_size_max ||
        !range_fits(image.payload_offset, image.payload_size, source.size())) {
        return source.error(
            "is truncated: its payload needs {} bytes at offset {}, it has {}; "
            "copy it again",
            image.payload_size, image.payload_offset, source.size());
    }
    return image;
}

Result<LoadedKernel> load_bzimage(const ImageSource& source, GuestMemory& memory,
                                  Placement& placement) {
    const BzImage image = FMVM_TRY(parse_bzimage(source));
    auto unpacked = FMVM_TRY(unpack(source, image, memory.total_bytes()));
    LoadedKernel kernel;
    kernel.protocol = BootProtocol::linux64;
    kernel.header = image.header;
    if (unpacked) {
        const BytesSource elf(source.name() + " (unpacked)",
                              unpacked->buffer.bytes().first(unpacked->size));
        kernel.entry = FMVM_TRY(load_unpacked(elf, memory, placement));
    } else {
        kernel.entry = FMVM_TRY(load_packed(source, image, memory, placement));
    }
    return kernel;
}

}  // namespace fmvm::boot

// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/placement.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "vmm/board/layout.h"

namespace fmvm::boot {

namespace {

std::uint64_t to_mib(std::uint64_t bytes) {
    return bytes / mib + (bytes % mib != 0 ? 1 : 0);
}

// The --memory with which [start, end) is RAM; nothing when no size makes it so (layout.h: RAM
// stops at the device hole and goes on behind it).
std::optional<std::uint64_t> memory_needed_mib(GuestAddress start, GuestAddress end) {
    if (end <= layout::mmio_hole_start) return to_mib(end.value());
    if (start < layout::mmio_hole_end) return std::nullopt;
    const std::uint64_t bytes = layout::mmio_hole_start.value() + (end - layout::mmio_hole_end);
    if (bytes > layout::memory_size_max) return std::nullopt;
    return to_mib(bytes);
}

}  // namespace

Placement::Placement(const GuestMemory& memory) : memory_(memory) {
    // The boot information below 1 MiB is always there (layout::memory_size_min).
    FMVM_CHECK(memory.contains(GuestAddress(0), layout::high_memory.value()));
}

Result<void> Placement::claim(const ImageSource& source, std::string_view what, GuestAddress start,
                              std::uint64_t size) {
    if (size > std::numeric_limits<std::uint64_t>::max() - start.value()) {
        return source.error(
            "{} at {:#x} with {:#x} bytes wraps around the address space; "
            "the file is damaged",
            what, start.value(), size);
    }
    const GuestAddress end = start + size;
    if (start < layout::high_memory) {
        return source.error(
            "{} at {:#x} lies below 1 MiB, where the boot and firmware tables are; "
            "link the kernel at {:#x} or above",
            what, start.value(), layout::high_memory.value());
    }
    if (!memory_.contains(start, size)) {
        if (const auto needed = memory_needed_mib(start, end)) {
            return source.error(
                "{} at {:#x} to {:#x} lies outside guest RAM; give the guest "
                "--memory {}M or more",
                what, start.value(), end.value(), *needed);
        }
        return source.error(
            "{} at {:#x} to {:#x} lies where this machine never has RAM; "
            "link the kernel below {:#x}",
            what, start.value(), end.value(), layout::mmio_hole_start.value());
    }
    if (const Claim* other = overlap(start, end)) {
        return source.error(
            "{} at {:#x} to {:#x} overlaps another part at {:#x}; the file is "
            "damaged",
            what, start.value(), end.value(), other->start.value());
    }
    claims_.push_back({start, end});
    return {};
}

Result<GuestAddress> Placement::claim_highest(const ImageSource& source, std::uint64_t size,
                                              GuestAddress limit) {
    GuestAddress ceiling = std::min(limit, low_memory_end());
    while (ceiling >= layout::high_memory && size <= ceiling - layout::high_memory) {
        const GuestAddress start(align_down(ceiling.value() - size, page_size));
        const Claim* blocker = overlap(start, start + size);
        if (blocker == nullptr) {
            claims_.push_back({start, start + size});
            return start;
        }
        ceiling = blocker->start;
    }

    // Behind everything that is there already it would fit, given the RAM.
    GuestAddress top = layout::high_memory;
    for (const Claim& claim : claims_) {
        if (claim.end <= layout::mmio_hole_start) top = std::max(top, claim.end);
    }
    const std::uint64_t start = align_up(top.value(), page_size);
    const std::uint64_t highest = std::min(limit, layout::mmio_hole_start).value();
    if (start <= highest && size <= highest - start) {
        return source.error(
            "{} MiB do not fit in guest RAM beside the kernel; give the guest "
            "--memory {}M or more",
            to_mib(size), to_mib(start + size));
    }
    return source.error(
        "{} MiB do not fit between the kernel and {:#x}, the highest address this "
        "kernel accepts; make it smaller",
        to_mib(size), highest);
}

bool Placement::covers(GuestAddress address) const {
    return std::any_of(claims_.begin(), claims_.end(), [address](const Claim& claim) {
        return claim.start <= address && address < claim.end;
    });
}

const Placement::Claim* Placement::overlap(GuestAddress start, GuestAddress end) const {
    for (const Claim& claim : claims_) {
        if (start < claim.end && claim.start < end) return &claim;
    }
    return nullptr;
}

GuestAddress Placement::low_memory_end() const {
    const MemoryRegion& low = memory_.regions().front();
    return low.start + low.size;
}

}  // namespace fmvm::boot

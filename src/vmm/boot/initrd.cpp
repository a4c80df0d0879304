// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/initrd.h"

namespace fmvm::boot {

Result<PlacedInitrd> load_initrd(const ImageSource& source, std::uint32_t address_max,
                                 GuestMemory& memory, Placement& placement) {
    const GuestAddress limit(std::uint64_t{address_max} + 1);
    const std::uint64_t size = source.size();
    const GuestAddress start = FMVM_TRY(placement.claim_highest(source, size, limit));
    FMVM_TRY(source.read_to_guest(0, size, memory, start));
    return PlacedInitrd{start, size};
}

}  // namespace fmvm::boot

// SPDX-License-Identifier: Apache-2.0
// The dirty log by KVM's dirty rings, one for each vCPU (KVM_CAP_DIRTY_LOG_RING, api.rst 8.29).
//
// Two rules make it simple:
//   - A ring is emptied only while its vCPU stands: by the vCPU's own thread when KVM calls the
//   ring
//     full, by collect() while the whole guest stands.
//   - What is taken out of a ring is protected again at once. So a page that was written is either
//     still in a ring, or in the set of logged pages and protected.
// watch() then only takes pages out of that set. The price: no logged page stays writable, so hot
// pages are of no use with it.
//
// KVM logs a page written by the kernel in the ring of the vCPU that is loaded; on x86 it writes
// guest memory in no other way.
#pragma once

#include <memory>

#include "vmm/dirty_log/dirty_log.h"

namespace fmvm {

// Entries of a ring, unless the host allows fewer: 1 MiB of kernel memory per vCPU.
inline constexpr std::uint64_t dirty_ring_entries = 65536;

// Before the first vCPU is made. VM and memory outlive the log. entries: a power of two; KVM
// refuses fewer than a page holds (256), or than the CPU may have pending (1024 with PML).
Result<std::unique_ptr<DirtyLog>> create_ring_dirty_log(const Kvm& kvm, const Vm& vm,
                                                        const GuestMemory& memory,
                                                        std::uint64_t entries = dirty_ring_entries);

}  // namespace fmvm

// SPDX-License-Identifier: Apache-2.0
// One vCPU's dirty ring: the pages that this vCPU wrote, in order, in memory that KVM shares with
// us (api.rst 8.29). An entry's life:
//
//     free --(KVM: page written)--> dirty --(take)--> marked --(KVM_RESET_DIRTY_RINGS)--> free
//
// The reset protects the marked pages again, from the first marked entry on, until it meets one
// that is not marked. Where KVM stands in the ring (next entry to reset, next to fill) it does not
// tell.
//
// A vCPU whose ring is nearly full (64 entries are left, more with PML) leaves the guest with
// KVM_EXIT_DIRTY_RING_FULL and cannot enter it before a reset. But KVM looks at that only when it
// enters the guest, and where it emulates ring 0 it carries out many instructions between two
// entries, each write of them a dirty entry of its own: seen were up to 672 entries beyond the end
// of the ring, which overwrote the oldest. Such a ring is *overrun*: what is lost, and how far KVM
// has gone on, cannot be seen; the next entries show up further on than expected, and the gap must
// be marked as well, or the reset would stop at it.
//
// Pure: the entries are memory. Threads: one at a time, and only while the ring's vCPU stands, so
// that nothing is filled meanwhile.
#pragma once

#include <cstdint>
#include <span>

#include "vmm/kvm/kvm_api.h"

namespace fmvm {

class DirtyRing {
  public:
    // Entries: a power of two; they outlive this.
    explicit DirtyRing(std::span<kvm_dirty_gfn> entries) : entries_(entries) {}

    struct Taken {
        std::uint64_t marked = 0;  // how many entries the next reset frees
        bool overrun = false;      // entries were lost: any page may be written and unprotected
    };
    // Takes all dirty entries: visit(slot, offset), offset in pages from the slot's beginning.
    // What it marked must be reset, wholly, before the vCPU runs again or take() is called again.
    template <typename Visit>
    Taken take(Visit visit) {
        // KVM fills in order: when the entry that it reaches last is dirty, it has come round.
        if (is_dirty(entries_.size() - 1)) return take_overrun();
        const std::uint64_t first = first_dirty();
        std::uint64_t end = first;
        for (; end < entries_.size() && is_dirty(end); ++end)
            visit(at(end).slot, at(end).offset);
        if (end == first) return {};
        in_step_ = true;
        return {mark(end), false};
    }

    // For a vCPU that KVM calls full although take() found nothing: an overrun was longer than the
    // ring. Marks a part of what KVM must hold then; 0: KVM contradicts itself.
    std::uint64_t mark_unseen() { return in_step_ ? 0 : mark(entries_.size() / 4); }

  private:
    kvm_dirty_gfn& at(std::uint64_t ahead) const {
        return entries_[(next_ + ahead) & (entries_.size() - 1)];
    }
    bool is_dirty(std::uint64_t ahead) const {
        return (__atomic_load_n(&at(ahead).flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_DIRTY) != 0;
    }
    std::uint64_t first_dirty() const;
    std::uint64_t mark(std::uint64_t count);
    Taken take_overrun();

    std::span<kvm_dirty_gfn> entries_;
    std::uint64_t next_ = 0;  // counts on; where KVM's next reset begins
    bool in_step_ = true;     // KVM fills next_ next, if nothing is dirty
};

}  // namespace fmvm

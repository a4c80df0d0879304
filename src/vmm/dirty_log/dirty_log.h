// SPDX-License-Identifier: Apache-2.0
// Which pages the guest has written, as KVM logs it. What the VMM itself writes is not in it
// (GuestMemory::take_dirty_marks).
//
// A page is logged when it is written for the first time since it was last watched anew; that
// first write costs the guest a fault, later ones nothing. A page that is not watched anew stays
// logged, and with the bitmap writable: see lockstep/checkpoint/hot_pages.
#pragma once

#include <memory>

#include "base/result.h"
#include "vmm/kvm/vm.h"
#include "vmm/memory/guest_memory.h"
#include "vmm/memory/page_set.h"

namespace fmvm {

class Vcpu;

enum class DirtyLogKind {
    none,    // writes are never logged: a machine that is not protected
    bitmap,  // below
    ring,    // ring_dirty_log.h
};

class DirtyLog {
  public:
    virtual ~DirtyLog() = default;
    // Every vCPU, once, when it has been made; before any runs.
    virtual Result<void> add_vcpu(Vcpu& vcpu) = 0;
    // From now on writes are logged. Every page counts as logged at first, and none is
    // watched until watch() is called for it.
    virtual Result<void> start() = 0;
    virtual Result<void> stop() = 0;
    // Adds the logged pages to `pages`. While the guest stands (Machine::quiesce).
    virtual Result<void> collect(PageSet& pages) = 0;
    // Takes these pages out of the log and watches them anew. The guest may run; a page must be
    // copied after this, or while the guest stands.
    virtual Result<void> watch(const PageSet& pages) = 0;
};

// KVM's dirty bitmap with KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 (api.rst 4.8, 4.117, 7.15): collecting
// does not change the log, so that hot pages may stay in it. Why it is the default:
// docs/evidence/dirty-logs.md.
Result<std::unique_ptr<DirtyLog>> create_bitmap_dirty_log(const Kvm& kvm, const Vm& vm,
                                                          const GuestMemory& memory);

}  // namespace fmvm

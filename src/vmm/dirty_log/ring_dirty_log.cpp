// SPDX-License-Identifier: Apache-2.0
#include "vmm/dirty_log/ring_dirty_log.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <vector>

#include "base/log.h"
#include "base/mutex.h"
#include "vmm/cpu/vcpu.h"
#include "vmm/dirty_log/dirty_ring.h"

namespace fmvm {

namespace {

// A vCPU's ring, mapped from its descriptor.
class MappedRing {
  public:
    static Result<std::unique_ptr<MappedRing>> create(int vcpu_fd, std::size_t entries) {
        void* bytes = ::mmap(nullptr, entries * sizeof(kvm_dirty_gfn), PROT_READ | PROT_WRITE,
                             MAP_SHARED, vcpu_fd, KVM_DIRTY_LOG_PAGE_OFFSET * page_size);
        if (bytes == MAP_FAILED) return errno_error(errno, "cannot map a vCPU's dirty ring");
        return std::unique_ptr<MappedRing>(
            new MappedRing({static_cast<kvm_dirty_gfn*>(bytes), entries}));
    }
    ~MappedRing() { ::munmap(entries_.data(), entries_.size_bytes()); }
    MappedRing(const MappedRing&) = delete;
    MappedRing& operator=(const MappedRing&) = delete;

    DirtyRing& ring() { return ring_; }

  private:
    explicit MappedRing(std::span<kvm_dirty_gfn> entries) : entries_(entries), ring_(entries) {}

    std::span<kvm_dirty_gfn> entries_;
    DirtyRing ring_;
};

class RingDirtyLog : public DirtyLog {
  public:
    RingDirtyLog(const Vm& vm, const GuestMemory& memory, std::size_t entries)
        : vm_(vm), memory_(memory), entries_(entries), logged_(memory.page_count()) {}

    Result<void> add_vcpu(Vcpu& vcpu) override {
        rings_.push_back(FMVM_TRY(MappedRing::create(vcpu.fd(), entries_)));
        vcpu.on_full_dirty_ring(
            [this, &ring = rings_.back()->ring()] { return empty_full_ring(ring); });
        return {};
    }

    // KVM protects every page of a slot when it begins to log its writes.
    Result<void> start() override {
        const Lock lock(mutex_);
        logging_ = true;
        logged_.insert_all();
        return vm_.map_memory(memory_, DirtyLogging::on);
    }
    Result<void> stop() override {
        const Lock lock(mutex_);
        logging_ = false;
        return vm_.map_memory(memory_, DirtyLogging::off);
    }

    Result<void> collect(PageSet& pages) override {
        const Lock lock(mutex_);
        DirtyRing::Taken all;
        for (const auto& mapped : rings_) {
            const DirtyRing::Taken taken = take(mapped->ring());
            all.marked += taken.marked;
            all.overrun |= taken.overrun;
        }
        FMVM_TRY(protect(all));
        pages.merge(logged_);
        return {};
    }

    Result<void> watch(const PageSet& pages) override {
        const Lock lock(mutex_);
        logged_.subtract(pages);
        return {};
    }

  private:
    // The thread of the ring's vCPU.
    Result<void> empty_full_ring(DirtyRing& ring) {
        const Lock lock(mutex_);
        DirtyRing::Taken taken = take(ring);
        if (taken.marked == 0) taken.marked = ring.mark_unseen();
        if (taken.marked == 0) return Error("KVM calls a vCPU's dirty ring full that is empty");
        return protect(taken);
    }

    DirtyRing::Taken take(DirtyRing& ring) FMVM_REQUIRES(mutex_) {
        // Called by take() alone, while the mutex is held.
        const auto log_page =
            [this](std::uint32_t slot, std::uint64_t offset)
                FMVM_NO_THREAD_SAFETY_ANALYSIS { logged_.insert(page_at(slot, offset)); };
        return ring.take(log_page);
    }

    // Protects the pages that were taken from rings.
    Result<void> protect(const DirtyRing::Taken& taken) FMVM_REQUIRES(mutex_) {
        FMVM_TRY(reset(taken.marked));
        return taken.overrun && logging_ ? log_everything() : Result<void>();
    }

    // After an overrun. A page whose entry was lost is writable, and no reset will protect it; so
    // logging begins anew. Writes meanwhile are not logged, and need not be.
    Result<void> log_everything() FMVM_REQUIRES(mutex_) {
        if (!std::exchange(overrun_told_, true)) {
            log::warning("primary",
                         "this host's KVM overran a dirty ring, so that all memory counts as "
                         "written; --dirty-log bitmap does not have that");
        }
        logged_.insert_all();
        FMVM_TRY(vm_.map_memory(memory_, DirtyLogging::off));
        return vm_.map_memory(memory_, DirtyLogging::on);
    }

    // slot: with the address space in its upper half, of which we use the first only.
    PageIndex page_at(std::uint32_t slot, std::uint64_t offset) const {
        FMVM_CHECK(slot < memory_.regions().size());
        const MemoryRegion& region = memory_.regions()[slot];
        FMVM_CHECK(offset < region.size / page_size);
        return static_cast<PageIndex>(region.first_page + offset);
    }

    // A pending signal (a kick of this vCPU) ends KVM's work early, and even before it has begun.
    Result<void> reset(std::uint64_t marked) FMVM_REQUIRES(mutex_) {
        constexpr unsigned idle_max = 1000;
        for (unsigned idle = 0; marked != 0; ++idle) {
            const int done = retry_ioctl(vm_.fd(), KVM_RESET_DIRTY_RINGS, 0UL);
            if (done < 0) return errno_error(errno, "KVM_RESET_DIRTY_RINGS failed");
            if (static_cast<std::uint64_t>(done) > marked || idle == idle_max)
                return make_error("KVM_RESET_DIRTY_RINGS leaves {} entries after {}", marked, done);
            marked -= static_cast<std::uint64_t>(done);
            if (done != 0) idle = 0;
        }
        return {};
    }

    const Vm& vm_;
    const GuestMemory& memory_;
    const std::size_t entries_;
    std::vector<std::unique_ptr<MappedRing>> rings_;  // all made before the first vCPU runs
    Mutex mutex_;
    PageSet logged_ FMVM_GUARDED_BY(mutex_);  // taken from a ring, and protected since
    bool logging_ FMVM_GUARDED_BY(mutex_) = false;
    bool overrun_told_ FMVM_GUARDED_BY(mutex_) = false;
};

}  // namespace

Result<std::unique_ptr<DirtyLog>> create_ring_dirty_log(const Kvm& kvm, const Vm& vm,
                                                        const GuestMemory& memory,
                                                        std::uint64_t entries) {
    FMVM_CHECK(std::has_single_bit(entries));
    const auto bytes_max = static_cast<std::uint64_t>(kvm.extension(KVM_CAP_DIRTY_LOG_RING));
    if (bytes_max == 0) {
        return Error(
            "this host's KVM has no dirty ring (KVM_CAP_DIRTY_LOG_RING); leave --dirty-log ring "
            "out, or update the host kernel (5.11 or later)");
    }
    entries = std::min(entries, std::bit_floor(bytes_max / sizeof(kvm_dirty_gfn)));
    kvm_enable_cap enable{};
    enable.cap = KVM_CAP_DIRTY_LOG_RING;
    enable.args[0] = entries * sizeof(kvm_dirty_gfn);
    if (retry_ioctl(vm.fd(), KVM_ENABLE_CAP, &enable) != 0)
        return errno_error(errno, "KVM_CAP_DIRTY_LOG_RING cannot be enabled");
    return std::unique_ptr<DirtyLog>(std::make_unique<RingDirtyLog>(vm, memory, entries));
}

}  // namespace fmvm

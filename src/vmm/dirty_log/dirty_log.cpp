// SPDX-License-Identifier: Apache-2.0
#include "vmm/dirty_log/dirty_log.h"

#include <algorithm>

namespace fmvm {

namespace {

constexpr std::uint64_t pages_per_word = 64;

class BitmapDirtyLog : public DirtyLog {
  public:
    BitmapDirtyLog(const Vm& vm, const GuestMemory& memory) : vm_(vm), memory_(memory) {
        for (const MemoryRegion& region : memory.regions()) {
            // The kernel's bitmaps begin at a region's first page: so must ours, at a whole word.
            FMVM_CHECK(region.first_page % pages_per_word == 0);
        }
    }

    Result<void> add_vcpu(Vcpu&) override { return {}; }
    Result<void> start() override { return vm_.map_memory(memory_, DirtyLogging::on); }
    Result<void> stop() override { return vm_.map_memory(memory_, DirtyLogging::off); }

    Result<void> collect(PageSet& pages) override {
        std::uint32_t slot = 0;
        for (const MemoryRegion& region : memory_.regions()) {
            const std::size_t words = words_of(region);
            buffer_.resize(words);
            kvm_dirty_log log{};
            log.slot = slot++;
            log.dirty_bitmap = buffer_.data();
            if (retry_ioctl(vm_.fd(), KVM_GET_DIRTY_LOG, &log) != 0)
                return errno_error(errno, "KVM_GET_DIRTY_LOG failed");
            const auto target = pages.words().subspan(region.first_page / pages_per_word, words);
            for (std::size_t i = 0; i < words; ++i)
                target[i] |= buffer_[i];
        }
        return {};
    }

    Result<void> watch(const PageSet& pages) override {
        std::uint32_t slot = 0;
        for (const MemoryRegion& region : memory_.regions()) {
            const auto bits =
                pages.words().subspan(region.first_page / pages_per_word, words_of(region));
            FMVM_TRY(watch_slot(slot++, region.size / page_size, bits));
        }
        return {};
    }

  private:
    static std::size_t words_of(const MemoryRegion& region) {
        return (region.size / page_size + pages_per_word - 1) / pages_per_word;
    }

    Result<void> watch_slot(std::uint32_t slot, std::uint64_t slot_pages,
                            std::span<const std::uint64_t> bits) {
        const auto is_set = [](std::uint64_t word) { return word != 0; };
        const auto first = std::ranges::find_if(bits, is_set);
        if (first == bits.end()) return {};
        const auto last = std::find_if(bits.rbegin(), bits.rend(), is_set).base();
        kvm_clear_dirty_log clear{};
        clear.slot = slot;
        clear.first_page = static_cast<std::uint64_t>(first - bits.begin()) * pages_per_word;
        const std::uint64_t words = static_cast<std::uint64_t>(last - first);
        clear.num_pages = static_cast<std::uint32_t>(
            std::min<std::uint64_t>(words * pages_per_word, slot_pages - clear.first_page));
        clear.dirty_bitmap = const_cast<std::uint64_t*>(&*first);  // the kernel only reads it
        if (retry_ioctl(vm_.fd(), KVM_CLEAR_DIRTY_LOG, &clear) != 0)
            return errno_error(errno, "KVM_CLEAR_DIRTY_LOG failed");
        return {};
    }

    const Vm& vm_;
    const GuestMemory& memory_;
    std::vector<std::uint64_t> buffer_;
};

}  // namespace

Result<std::unique_ptr<DirtyLog>> create_bitmap_dirty_log(const Kvm& kvm, const Vm& vm,
                                                          const GuestMemory& memory) {
    constexpr std::uint64_t wanted =
        KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET;
    const auto supported =
        static_cast<std::uint64_t>(kvm.extension(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2));
    if ((supported & wanted) != wanted) {
        return Error(
            "this host's KVM lacks KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 with initially set "
            "bits, which protecting a guest needs; update the host kernel (5.7 or later)");
    }
    kvm_enable_cap enable{};
    enable.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2;
    enable.args[0] = wanted;
    if (retry_ioctl(vm.fd(), KVM_ENABLE_CAP, &enable) != 0)
        return errno_error(errno, "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 cannot be enabled");
    return std::unique_ptr<DirtyLog>(std::make_unique<BitmapDirtyLog>(vm, memory));
}

}  // namespace fmvm

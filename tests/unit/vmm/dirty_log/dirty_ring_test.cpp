// SPDX-License-Identifier: Apache-2.0
// The ring against a model of KVM's side (virt/kvm/dirty_ring.c), overruns included.
#include "vmm/dirty_log/dirty_ring.h"

#include <catch2/catch.hpp>
#include <random>
#include <set>
#include <vector>

using namespace fmvm;

namespace {

class KernelRing {
  public:
    KernelRing(std::uint64_t size, std::uint64_t reserved)
        : entries(size), soft_limit_(size - reserved) {}

    void push(std::uint64_t page) {
        kvm_dirty_gfn& entry = entries[filled_++ % entries.size()];
        entry = {KVM_DIRTY_GFN_F_DIRTY, 1, page};
    }
    std::uint64_t reset() {
        std::uint64_t count = 0;
        while ((entries[reset_ % entries.size()].flags & KVM_DIRTY_GFN_F_RESET) != 0) {
            entries[reset_++ % entries.size()].flags = 0;
            ++count;
        }
        REQUIRE(reset_ <= filled_);  // or KVM would think for ever that the ring is full
        return count;
    }
    std::uint64_t used() const { return filled_ - reset_; }
    bool is_full() const { return used() >= soft_limit_; }

    std::vector<kvm_dirty_gfn> entries;

  private:
    std::uint64_t soft_limit_;
    std::uint64_t filled_ = 0;
    std::uint64_t reset_ = 0;
};

// Whoever takes: whatever was filled is visited, or an overrun is told, every time.
struct Taker {
    explicit Taker(KernelRing& kernel_ring) : kernel(kernel_ring), ring(kernel_ring.entries) {}

    void push(std::uint64_t page) {
        not_taken.insert(page);
        kernel.push(page);
    }
    DirtyRing::Taken take() {
        pages.clear();
        const DirtyRing::Taken taken = ring.take([this](std::uint32_t slot, std::uint64_t page) {
            CHECK(slot == 1);
            CHECK(not_taken.erase(page) == 1);
            pages.push_back(page);
        });
        if (taken.overrun) not_taken.clear();
        CHECK(not_taken.empty());
        CHECK(kernel.reset() == taken.marked);
        return taken;
    }
    // As for a vCPU that cannot go on; false: nothing can be done for it.
    bool make_room() {
        if (take().marked != 0) return true;
        const std::uint64_t marked = ring.mark_unseen();
        CHECK(kernel.reset() == marked);
        return marked != 0;
    }
    void make_room_until_it_runs() {
        for (int i = 0; kernel.is_full(); ++i) {
            REQUIRE(i < 100);
            REQUIRE(make_room());
        }
    }

    KernelRing& kernel;
    DirtyRing ring;
    std::set<std::uint64_t> not_taken;
    std::vector<std::uint64_t> pages;
};

}  // namespace

TEST_CASE("dirty ring: what was filled is taken in order, once, round and round") {
    KernelRing kernel(16, 4);
    Taker taker(kernel);
    std::uint64_t page = 0;
    for (std::uint64_t count : {0, 1, 5, 15, 12, 0, 15, 3}) {
        std::vector<std::uint64_t> expected;
        for (std::uint64_t i = 0; i < count; ++i) {
            expected.push_back(page);
            taker.push(page++);
        }
        const DirtyRing::Taken taken = taker.take();
        CHECK(taken.marked == count);
        CHECK_FALSE(taken.overrun);
        CHECK(taker.pages == expected);
        CHECK(kernel.used() == 0);
    }
}

TEST_CASE("dirty ring: an overrun is seen, and the ring is exact again with the next entry") {
    const std::uint64_t beyond = GENERATE(0, 1, 7, 15, 16, 17, 60);
    KernelRing kernel(16, 4);
    Taker taker(kernel);
    for (std::uint64_t page = 0; page < 3; ++page)
        taker.push(page);
    CHECK(taker.take().marked == 3);
    for (std::uint64_t page = 0; page < 16 + beyond; ++page)
        taker.push(100 + page);
    CHECK(taker.take().overrun);
    taker.make_room_until_it_runs();
    CHECK(taker.take().marked == 0);  // nothing new, and nothing is marked for it
    taker.push(7);
    taker.push(8);
    CHECK_FALSE(taker.take().overrun);
    CHECK(taker.pages == std::vector<std::uint64_t>{7, 8});
    CHECK(kernel.used() == 0);
}

TEST_CASE("dirty ring: one that is full and empty at once is a contradiction") {
    KernelRing kernel(16, 4);
    Taker taker(kernel);
    CHECK_FALSE(taker.make_room());
}

TEST_CASE("dirty ring: whatever KVM does, no page is lost and the vCPU goes on") {
    std::minstd_rand random(GENERATE(range(1, 200)));
    const auto below = [&random](std::uint64_t limit) { return random() % limit; };
    const std::uint64_t size = 8u << below(5);
    const std::uint64_t burst_max = 1 + below(3 * size);
    KernelRing kernel(size, below(size / 2));
    Taker taker(kernel);
    std::uint64_t page = 0;
    for (int round = 0; round < 300; ++round) {
        taker.make_room_until_it_runs();
        for (std::uint64_t i = below(burst_max); i > 0; --i)
            taker.push(page++);
        if (below(3) == 0) taker.take();
    }
}

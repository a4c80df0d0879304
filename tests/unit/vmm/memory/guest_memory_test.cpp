// SPDX-License-Identifier: Apache-2.0
#include "vmm/memory/guest_memory.h"

#include <array>
#include <catch2/catch.hpp>
#include <limits>
#include <thread>

#include "support/death.h"

using namespace fmvm;
using fmvm::test::aborts;

namespace {

constexpr std::uint64_t max = std::numeric_limits<std::uint64_t>::max();

// Pages 0..3 and, after a hole, 16..17; and a region that begins where the second one ends.
GuestMemory make_memory() {
    const std::array<GuestMemory::Range, 3> ranges{{
        {GuestAddress(0), 4 * page_size},
        {GuestAddress(16 * page_size), 2 * page_size},
        {GuestAddress(18 * page_size), page_size},
    }};
    return GuestMemory::allocate(ranges).value();
}

std::uint64_t marks_of(GuestMemory& memory) {
    const std::vector<std::uint64_t> marks = memory.take_dirty_marks();
    REQUIRE(marks.size() == 1);
    return marks[0];
}

}  // namespace

TEST_CASE("guest memory: what is written is read back, and starts as zero", "[memory]") {
    GuestMemory memory = make_memory();
    std::array<std::uint8_t, 3> out{9, 9, 9};
    REQUIRE(memory.read(GuestAddress(5), out));
    CHECK(out == std::array<std::uint8_t, 3>{0, 0, 0});
    REQUIRE(memory.write(GuestAddress(page_size - 1), std::array<std::uint8_t, 3>{1, 2, 3}));
    REQUIRE(memory.read(GuestAddress(page_size - 1), out));
    CHECK(out == std::array<std::uint8_t, 3>{1, 2, 3});
    CHECK(memory.total_bytes() == 7 * page_size);
    CHECK(memory.end() == GuestAddress(19 * page_size));
}

TEST_CASE("guest memory: ranges that leave RAM fail whole", "[memory]") {
    GuestMemory memory = make_memory();
    const GuestAddress last(4 * page_size - 2);
    REQUIRE(memory.write(last, std::array<std::uint8_t, 2>{7, 7}));
    static_cast<void>(memory.take_dirty_marks());

    std::array<std::uint8_t, 3> bytes{1, 2, 3};
    CHECK_FALSE(memory.write(last, bytes));  // nothing of it is written
    std::array<std::uint8_t, 2> kept{};
    CHECK(memory.read(last, kept));
    CHECK(kept == std::array<std::uint8_t, 2>{7, 7});
    CHECK(marks_of(memory) == 0);

    CHECK_FALSE(memory.read(GuestAddress(4 * page_size), bytes));
    CHECK_FALSE(memory.read(GuestAddress(16 * page_size - 1), bytes));
    CHECK_FALSE(memory.read(GuestAddress(19 * page_size - 1), bytes));
    CHECK_FALSE(memory.read(GuestAddress(max), bytes));
    CHECK_FALSE(memory.read(GuestAddress(max - 2), bytes));
    CHECK_FALSE(memory.contains(GuestAddress(0), max));
    CHECK_FALSE(memory.contains(GuestAddress(1), max));
    CHECK_FALSE(memory.contains(GuestAddress(0), 4 * page_size + 1));
    CHECK(memory.contains(GuestAddress(0), 4 * page_size));
    CHECK_FALSE(memory.contains(GuestAddress(0), 0));
}

TEST_CASE("guest memory: no access crosses regions, adjacent ones included", "[memory]") {
    GuestMemory memory = make_memory();
    std::array<std::uint8_t, 2> bytes{};
    CHECK_FALSE(memory.read(GuestAddress(18 * page_size - 1), bytes));
    CHECK(memory.read(GuestAddress(18 * page_size - 2), bytes));
    CHECK(memory.read(GuestAddress(18 * page_size), bytes));
}

TEST_CASE("guest memory: empty accesses succeed anywhere and mark nothing", "[memory]") {
    GuestMemory memory = make_memory();
    CHECK(memory.read(GuestAddress(max), {}));
    CHECK(memory.write(GuestAddress(max), {}));
    memory.mark_dirty(GuestAddress(0), 0);
    CHECK(marks_of(memory) == 0);
}

TEST_CASE("guest memory: ring indices are aligned and inside RAM", "[memory]") {
    GuestMemory memory = make_memory();
    std::uint16_t value = 0;
    REQUIRE(memory.store_release(GuestAddress(page_size), 0x1234));
    REQUIRE(memory.load_acquire(GuestAddress(page_size), value));
    CHECK(value == 0x1234);
    CHECK_FALSE(memory.store_release(GuestAddress(page_size + 1), 1));
    CHECK_FALSE(memory.load_acquire(GuestAddress(page_size + 1), value));
    CHECK_FALSE(memory.store_release(GuestAddress(4 * page_size), 1));
    CHECK_FALSE(memory.load_acquire(GuestAddress(4 * page_size), value));
    CHECK_FALSE(memory.store_release(GuestAddress(max - 1), 1));
    CHECK(marks_of(memory) == 0b10);
}

TEST_CASE("guest memory: every write marks exactly its pages", "[memory]") {
    GuestMemory memory = make_memory();
    CHECK(marks_of(memory) == 0);
    REQUIRE(memory.write_object(GuestAddress(2 * page_size - 1), std::uint16_t{1}));
    CHECK(marks_of(memory) == 0b0110);
    CHECK(marks_of(memory) == 0);  // taken is taken

    // The regions behind the hole are pages 4, 5 and 6 of the marks.
    REQUIRE(memory.write_object(GuestAddress(16 * page_size), std::uint8_t{1}));
    memory.mark_dirty(GuestAddress(18 * page_size), page_size);
    CHECK(marks_of(memory) == 0b1010000);
    memory.mark_dirty(GuestAddress(0), 4 * page_size);
    CHECK(marks_of(memory) == 0b1111);
    memory.mark_dirty(GuestAddress(page_size), 1);
    memory.mark_dirty(GuestAddress(2 * page_size), 3 * page_size);  // not RAM: nothing
    memory.mark_dirty(GuestAddress(max), 1);
    CHECK(marks_of(memory) == 0b10);
}

TEST_CASE("guest memory: reading marks nothing", "[memory]") {
    GuestMemory memory = make_memory();
    std::uint64_t value = 0;
    REQUIRE(memory.read_object(GuestAddress(0), value));
    CHECK(memory.host_range(GuestAddress(0), 8) != nullptr);
    CHECK(marks_of(memory) == 0);
}

TEST_CASE("guest memory: marks from several threads are all kept", "[memory][threads]") {
    const GuestMemory::Range range{GuestAddress(0), 256 * page_size};
    GuestMemory memory = GuestMemory::allocate({&range, 1}).value();
    std::vector<std::thread> threads;
    for (std::uint64_t first = 0; first < 4; ++first) {
        threads.emplace_back([&memory, first] {
            for (std::uint64_t page = first; page < 256; page += 4) {
                memory.mark_dirty(GuestAddress(page * page_size), 1);
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    CHECK(memory.take_dirty_marks() == std::vector<std::uint64_t>(4, ~std::uint64_t{0}));
}

TEST_CASE("guest memory: the mapping belongs to one object", "[memory]") {
    GuestMemory memory = make_memory();
    std::uint8_t* host = memory.host_range(GuestAddress(0), 1);
    GuestMemory moved(std::move(memory));
    CHECK(moved.host_range(GuestAddress(0), 1) == host);
    CHECK(is_aligned(reinterpret_cast<std::uintptr_t>(host), 2 * mib));
}

TEST_CASE("guest memory: ranges of ours are checked", "[memory]") {
    const auto allocate = [](std::vector<GuestMemory::Range> ranges) {
        return aborts([&] { static_cast<void>(GuestMemory::allocate(ranges)); });
    };
    CHECK(allocate({}));
    CHECK(allocate({{GuestAddress(0), 100}}));
    CHECK(allocate({{GuestAddress(0), 0}}));
    CHECK(allocate({{GuestAddress(1), page_size}}));
    CHECK(allocate({{GuestAddress(0), 2 * page_size}, {GuestAddress(page_size), page_size}}));
    CHECK_FALSE(allocate({{GuestAddress(0), page_size}}));
}

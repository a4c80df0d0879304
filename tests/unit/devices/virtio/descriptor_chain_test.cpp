// SPDX-License-Identifier: Apache-2.0
// The hostile tests of the queue: every chain that virtio 1.2, 2.7.5 forbids breaks the queue, for
// the reason that is said, and nothing else happens.
#include "devices/virtio/descriptor_chain.h"

#include <catch2/catch.hpp>
#include <string>

#include "devices/virtio/virtqueue.h"
#include "support/death.h"
#include "support/fake_driver.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

struct Bench {
    explicit Bench(bool indirect = true) : queue(ram, 16), device(ram.memory(), state(indirect)) {}
    Virtqueue::State state(bool indirect) const {
        Virtqueue::State fresh;
        fresh.layout = queue.layout();
        fresh.indirect = indirect;
        return fresh;
    }
    // Why the device refuses the chain that was submitted; empty when it does not.
    std::string refusal() {
        std::optional<DescriptorChain> chain = device.pop();
        if (chain) chain->abandon();
        CHECK(chain.has_value() != device.broken());
        CHECK(ram.take_dirty_pages().empty());
        return device.broken() ? device.broken_reason() : "";
    }
    void table_entry(GuestAddress table, std::uint64_t index, const FakeDescriptor& descriptor) {
        ram.poke(table + index * 16, descriptor);
    }

    GuestRam ram{64 * kib};
    FakeQueue queue;
    Virtqueue device;
};

constexpr std::uint64_t all_ones = ~std::uint64_t{0};

}  // namespace

TEST_CASE("chain: buffers arrive in order, readable and writable apart", "[virtio]") {
    Bench bench;
    const std::uint16_t head = bench.queue.chain()
                                   .readable_at(GuestAddress(0x2000), 16)
                                   .readable_at(GuestAddress(0x3000), 1)
                                   .writable_at(GuestAddress(0x4000), 512)
                                   .submit();
    std::optional<DescriptorChain> chain = bench.device.pop();
    REQUIRE(chain);
    CHECK(chain->head() == head);
    REQUIRE(chain->readable.size() == 2);
    CHECK(chain->readable[1].address == GuestAddress(0x3000));
    CHECK(chain->readable[1].length == 1);
    REQUIRE(chain->writable.size() == 1);
    CHECK(total_length(chain->readable) == 17);
    CHECK(total_length(chain->writable) == 512);
    chain->abandon();
}

TEST_CASE("chain: a buffer may be all of RAM, and end where RAM ends", "[virtio]") {
    Bench bench;
    bench.queue.chain().writable_at(GuestAddress(0), 64 * kib).submit();
    bench.queue.chain().readable_at(GuestAddress(64 * kib - 1), 1).submit();
    CHECK(bench.refusal().empty());
    CHECK(bench.refusal().empty());
}

TEST_CASE("chain: a buffer outside RAM", "[virtio][hostile]") {
    struct Case {
        std::uint64_t address;
        std::uint32_t length;
    };
    const auto bad = GENERATE(values<Case>({{64 * kib, 1},
                                            {64 * kib - 1, 2},
                                            {0, 64 * kib + 1},
                                            {0, 0xffffffff},
                                            {1, 0xffffffff},
                                            {all_ones, 1},
                                            {all_ones, 0xffffffff},
                                            {all_ones - 15, 16},
                                            {all_ones - 15, 17},
                                            {all_ones << 12, 0x1000},
                                            {0xd0000000, 4}}));
    const bool writable = GENERATE(false, true);
    Bench bench;
    ChainBuilder chain = bench.queue.chain();
    if (writable) {
        chain.writable_at(GuestAddress(bad.address), bad.length).submit();
    } else {
        chain.readable_at(GuestAddress(bad.address), bad.length).submit();
    }
    CHECK(bench.refusal() == "a buffer is not in guest memory");
}

TEST_CASE("chain: an empty buffer", "[virtio][hostile]") {
    Bench bench;
    SECTION("readable") {
        bench.queue.chain().readable_at(GuestAddress(0x2000), 0).submit();
    }
    SECTION("writable") {
        bench.queue.chain().writable_at(GuestAddress(0x2000), 0).submit();
    }
    SECTION("outside RAM") {
        bench.queue.chain().readable_at(GuestAddress(all_ones), 0).submit();
    }
    SECTION("behind a good one") {
        bench.queue.chain().readable(Bytes(4)).writable_at(GuestAddress(0x2000), 0).submit();
    }
    SECTION("in an indirect table") {
        bench.queue.chain().readable_at(GuestAddress(0x2000), 0).indirect().submit();
    }
    CHECK(bench.refusal() == "a buffer is empty");
}

TEST_CASE("chain: writable before readable", "[virtio][hostile]") {
    Bench bench;
    SECTION("at once") {
        bench.queue.chain().writable(4).readable(Bytes(4)).submit();
    }
    SECTION("late") {
        bench.queue.chain().readable(Bytes(4)).writable(4).readable(Bytes(4)).submit();
    }
    SECTION("indirect") {
        bench.queue.chain().writable(4).readable(Bytes(4)).indirect().submit();
    }
    CHECK(bench.refusal() == "a readable buffer follows a writable one");
}

TEST_CASE("chain: loops", "[virtio][hostile]") {
    Bench bench;
    SECTION("of one descriptor") {
        bench.queue.set_descriptor(0, {0x2000, 4, desc_next, 0});
        bench.queue.publish(0);
    }
    SECTION("of two") {
        bench.queue.set_descriptor(3, {0x2000, 4, desc_next | desc_write, 5});
        bench.queue.set_descriptor(5, {0x3000, 4, desc_next | desc_write, 3});
        bench.queue.publish(3);
    }
    SECTION("behind a straight beginning") {
        bench.queue.set_descriptor(0, {0x2000, 4, desc_next, 1});
        bench.queue.set_descriptor(1, {0x2000, 4, desc_next, 2});
        bench.queue.set_descriptor(2, {0x2000, 4, desc_next, 1});
        bench.queue.publish(0);
    }
    SECTION("inside an indirect table") {
        const GuestAddress table = bench.ram.take(32);
        bench.table_entry(table, 0, {0x2000, 4, desc_next, 1});
        bench.table_entry(table, 1, {0x2000, 4, desc_next, 0});
        bench.queue.set_descriptor(0, {table.value(), 32, desc_indirect, 0});
        bench.queue.publish(0);
    }
    CHECK(bench.refusal() == "a descriptor chain is too long or loops");
}

TEST_CASE("chain: an index outside its table", "[virtio][hostile]") {
    Bench bench;
    const auto index = GENERATE(values<std::uint16_t>({16, 17, 0x8000, 0xffff}));
    SECTION("the head") {
        bench.queue.publish(index);
    }
    SECTION("a successor") {
        bench.queue.set_descriptor(0, {0x2000, 4, desc_next, index});
        bench.queue.publish(0);
    }
    SECTION("in an indirect table of two") {
        const GuestAddress table = bench.ram.take(32);
        bench.table_entry(table, 0, {0x2000, 4, desc_next, index});
        bench.queue.set_descriptor(0, {table.value(), 32, desc_indirect, 0});
        bench.queue.publish(0);
    }
    CHECK(bench.refusal() == "a descriptor index is outside its table");
}

TEST_CASE("chain: a successor just behind an indirect table", "[virtio][hostile]") {
    Bench bench;
    const GuestAddress table = bench.ram.take(48);
    bench.table_entry(table, 0, {0x2000, 4, desc_next, 2});
    bench.table_entry(table, 2, {0x2000, 4, 0, 0});
    bench.queue.set_descriptor(0, {table.value(), 32, desc_indirect, 0});
    bench.queue.publish(0);
    CHECK(bench.refusal() == "a descriptor index is outside its table");
}

TEST_CASE("chain: indirect tables work", "[virtio]") {
    Bench bench;
    SECTION("whole chain") {
        bench.queue.chain().readable(Bytes(4)).writable(8).writable(1).indirect().submit();
    }
    SECTION("behind direct buffers") {  // 2.7.5.3.1 allows it
        const GuestAddress table = bench.ram.take(32);
        bench.table_entry(table, 0, {0x2000, 8, desc_next | desc_write, 1});
        bench.table_entry(table, 1, {0x2100, 1, desc_write, 0});
        bench.queue.set_descriptor(0, {0x3000, 4, desc_next, 1});
        bench.queue.set_descriptor(1, {table.value(), 32, desc_indirect, 0});
        bench.queue.publish(0);
    }
    SECTION("with the write flag on the table, which the device must ignore") {
        const GuestAddress table = bench.ram.take(48);
        bench.table_entry(table, 0, {0x3000, 4, desc_next, 1});
        bench.table_entry(table, 1, {0x2000, 8, desc_next | desc_write, 2});
        bench.table_entry(table, 2, {0x2100, 1, desc_write, 0});
        bench.queue.set_descriptor(0, {table.value(), 48, desc_indirect | desc_write, 0});
        bench.queue.publish(0);
    }
    std::optional<DescriptorChain> chain = bench.device.pop();
    REQUIRE(chain);
    CHECK(total_length(chain->readable) == 4);
    CHECK(total_length(chain->writable) == 9);
    chain->abandon();
}

TEST_CASE("chain: an indirect table that was not negotiated", "[virtio][hostile]") {
    Bench bench(false);
    bench.queue.chain().readable(Bytes(4)).indirect().submit();
    CHECK(bench.refusal() == "an indirect descriptor was not negotiated");
}

TEST_CASE("chain: an indirect table of odd length", "[virtio][hostile]") {
    Bench bench;
    const auto length = GENERATE(values<std::uint32_t>({0, 1, 15, 17, 0xffffffff}));
    bench.queue.set_descriptor(0, {0x2000, length, desc_indirect, 0});
    bench.queue.publish(0);
    CHECK(bench.refusal() == "an indirect table has an odd length");
}

TEST_CASE("chain: an indirect table outside RAM", "[virtio][hostile]") {
    Bench bench;
    const auto address = GENERATE(
        values<std::uint64_t>({64 * kib, 64 * kib - 16, all_ones, all_ones - 15, 0xfee00000}));
    bench.queue.set_descriptor(0, {address, 32, desc_indirect, 0});
    bench.queue.publish(0);
    CHECK(bench.refusal() == "an indirect table is not in guest memory");
}

TEST_CASE("chain: an indirect table larger than RAM", "[virtio][hostile]") {
    Bench bench;
    bench.queue.set_descriptor(0, {0, 0xfffffff0, desc_indirect, 0});
    bench.queue.publish(0);
    CHECK(bench.refusal() == "an indirect table is not in guest memory");
}

TEST_CASE("chain: an indirect descriptor in an indirect table", "[virtio][hostile]") {
    Bench bench;
    const GuestAddress table = bench.ram.take(32);
    SECTION("first") {
        bench.table_entry(table, 0, {table.value(), 32, desc_indirect, 0});
    }
    SECTION("later") {
        bench.table_entry(table, 0, {0x2000, 4, desc_next, 1});
        bench.table_entry(table, 1, {table.value(), 32, desc_indirect, 0});
    }
    bench.queue.set_descriptor(0, {table.value(), 32, desc_indirect, 0});
    bench.queue.publish(0);
    CHECK(bench.refusal() == "an indirect table holds an indirect descriptor");
}

TEST_CASE("chain: an indirect descriptor with a successor", "[virtio][hostile]") {
    Bench bench;
    bench.queue.set_descriptor(0, {0x2000, 32, desc_indirect | desc_next, 1});
    bench.queue.publish(0);
    CHECK(bench.refusal() == "an indirect descriptor has a successor");
}

TEST_CASE("chain: the longest chain passes, one more does not", "[virtio][hostile]") {
    constexpr std::uint32_t count_max = Virtqueue::chain_length_max - 1;  // and the table itself
    const auto extra = GENERATE(values<std::uint32_t>({0, 1}));
    Bench bench;
    ChainBuilder chain = bench.queue.chain();
    for (std::uint32_t i = 0; i < count_max + extra; ++i) {
        chain.readable_at(GuestAddress(0x2000), 64);
    }
    chain.indirect().submit();
    CHECK(bench.refusal() == (extra == 0 ? "" : "a descriptor chain is too long or loops"));
}

TEST_CASE("chain: reader and writer take what there is, across buffers", "[virtio]") {
    GuestRam ram(64 * kib);
    ram.poke_bytes(GuestAddress(0x2000), Bytes{1, 2, 3});
    ram.poke_bytes(GuestAddress(0x3000), Bytes{4, 5, 6, 7});
    Segments segments;
    segments.push_back({GuestAddress(0x2000), 3});
    segments.push_back({GuestAddress(0x3000), 4});

    ChainReader reader(ram.memory(), segments);
    Bytes out(5);
    REQUIRE(reader.read(out));
    CHECK(out == Bytes{1, 2, 3, 4, 5});
    CHECK(reader.cursor().remaining() == 2);
    CHECK_FALSE(reader.read(out));  // five more: nothing is taken
    CHECK(reader.cursor().remaining() == 2);
    Bytes rest(2);
    REQUIRE(reader.read(rest));
    CHECK(rest == Bytes{6, 7});
    CHECK(reader.read({}));
    CHECK_FALSE(reader.read({rest.data(), 1}));

    ChainWriter writer(ram.memory(), segments);
    CHECK_FALSE(writer.write(Bytes(8, 9)));
    CHECK(ram.peek<std::uint8_t>(GuestAddress(0x2000)) == 1);
    REQUIRE(writer.write(Bytes(4, 9)));
    CHECK(ram.peek_bytes(GuestAddress(0x2000), 4) == Bytes{9, 9, 9, 0});
    CHECK(ram.peek_bytes(GuestAddress(0x3000), 4) == Bytes{9, 5, 6, 7});
    CHECK(ram.take_dirty_pages() == std::vector<std::uint64_t>{2, 3});
}

TEST_CASE("chain: a cursor cuts buffers where it is told", "[virtio]") {
    Segments segments;
    segments.push_back({GuestAddress(100), 10});
    segments.push_back({GuestAddress(200), 10});
    SegmentCursor cursor(segments);
    Segments out;
    REQUIRE(cursor.take(0, out));
    CHECK(out.empty());
    REQUIRE(cursor.take(10, out));
    REQUIRE(cursor.take(4, out));
    REQUIRE(cursor.take(6, out));
    CHECK_FALSE(cursor.take(1, out));
    REQUIRE(out.size() == 3);
    CHECK(out[1].address == GuestAddress(200));
    CHECK(out[2].address == GuestAddress(204));
    CHECK(out[2].length == 6);
}

TEST_CASE("chain: one that is dropped is a bug and aborts", "[virtio]") {
    CHECK(aborts([] { DescriptorChain chain(1); }));
    CHECK(aborts([] {
        DescriptorChain chain(1);
        chain = DescriptorChain(2);
    }));
    CHECK_FALSE(aborts([] {
        DescriptorChain chain(1);
        DescriptorChain moved(std::move(chain));
        moved.abandon();
    }));
}

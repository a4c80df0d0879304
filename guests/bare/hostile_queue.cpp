// SPDX-License-Identifier: Apache-2.0
// Virtqueues laid out wrongly, and chains that no driver would build.
#include "hostile.h"
#include "lib/block_device.h"
#include "lib/boot_info.h"
#include "lib/memory.h"
#include "lib/virtqueue.h"

namespace bare {

using namespace virtio;

namespace {

constexpr uint64_t kHeaderSize = 16;
constexpr uint64_t kMaxRing = 256;
// Within Pools::rings: descriptors, avail ring, used ring, tables of indirect descriptors.
constexpr uint64_t kAvail = 16 << 10, kUsed = 32 << 10, kTables = 64 << 10;
constexpr uint64_t kTableSize = 1 << 10;
constexpr uint64_t kCorruptOneIn = 12;
// Within Pools::readable: headers, and the ranges of discard and write zeroes.
constexpr uint64_t kHeaders = 0, kRanges = 32 << 10, kPlainData = 48 << 10;

struct Header {
    uint32_t type, reserved;
    uint64_t sector;
};

struct DiscardRange {
    uint64_t sector;
    uint32_t count, flags;
};

// Mounts a queue at these addresses, whatever they are, on a device that otherwise comes up
// properly.
void mount(const VirtioMmio& device, uint32_t size, uint64_t descriptors, uint64_t avail,
           uint64_t used) {
    device.write(kQueueSelect, 0);
    device.write(kQueueSize, size);
    const auto write64 = [&](uint32_t offset, uint64_t value) {
        device.write(offset, static_cast<uint32_t>(value));
        device.write(offset + 4, static_cast<uint32_t>(value >> 32));
    };
    write64(kQueueDescriptors, descriptors);
    write64(kQueueAvail, avail);
    write64(kQueueUsed, used);
    device.write(kQueueReady, 1);
    device.start();
}

class ChainBuilder {
  public:
    explicit ChainBuilder(Hostile& hostile)
        : hostile_(hostile),
          random_(hostile.random),
          rings_(hostile.pools.rings),
          size_(static_cast<uint16_t>(1 << random_.below(8))) {
        fill(reinterpret_cast<void*>(rings_), 0, Pools::kRings);
    }

    uint16_t size() const { return size_; }

    void build() {
        for (uint16_t i = 0; i < size_; ++i)
            table()[i] = descriptor(size_);
        const uint64_t chains = 1 + random_.below(size_);
        for (uint64_t i = 0; i < chains; ++i)
            well_formed(static_cast<uint16_t>(random_.below(size_)));
        auto* avail = reinterpret_cast<uint16_t*>(rings_ + kAvail);
        for (uint64_t i = 0; i < size_; ++i)
            avail[2 + i] = index(size_);
        avail[1] = static_cast<uint16_t>(corrupt() ? random_.next() : chains);
    }

  private:
    Descriptor* table() const { return reinterpret_cast<Descriptor*>(rings_); }
    bool corrupt() { return random_.one_in(kCorruptOneIn); }

    uint16_t index(uint16_t size) {
        return static_cast<uint16_t>(corrupt() ? random_.next() : random_.below(size));
    }

    uint64_t writable() { return hostile_.pools.writable + random_.below(Pools::kWritable / 2); }

    uint32_t data_length() {
        const uint64_t whole = kSectorSize * (1 + random_.below(16));
        return static_cast<uint32_t>(corrupt()   ? hostile_.nasty()
                                     : corrupt() ? random_.below(2048)
                                                 : whole);
    }

    // Where a write may go: into the scratch area, or to where there is no disk (also such that the
    // byte offset overflows 64 bits). Never such that a range, taken for a header, has a valid
    // type.
    uint64_t writable_sector() {
        if (!corrupt())
            return hostile_.first_scratch +
                   random_.below(hostile_.sectors - hostile_.first_scratch);
        const uint64_t wrapping =
            (uint64_t{1} << 55) * (1 + random_.below(511)) + 16 + random_.below(16);
        return random_.one_in(2) ? wrapping : hostile_.sectors + random_.below(1 << 20);
    }

    uint64_t header() {
        static constexpr uint32_t kTypes[] = {0, 0, 1, 1, 4, 8, 11, 13};
        const uint64_t address =
            hostile_.pools.readable + kHeaders + random_.below(1024) * kHeaderSize;
        const bool odd = corrupt() || hostile_.sectors == 0;
        const auto type =
            odd ? uint32_t(14 + random_.below(1000)) : kTypes[random_.below(std::size(kTypes))];
        const bool reads = type == 0;
        const uint64_t sector =
            reads && hostile_.sectors != 0
                ? (corrupt() ? hostile_.nasty() : random_.below(hostile_.sectors))
            : odd ? random_.next()
                  : writable_sector();
        *reinterpret_cast<Header*>(address) = {type, uint32_t(random_.next()), sector};
        return address;
    }

    uint64_t range() {
        const uint64_t address =
            hostile_.pools.readable + kRanges + random_.below(512) * sizeof(DiscardRange);
        const uint64_t sector = hostile_.sectors == 0 ? 0 : writable_sector();
        const auto count = static_cast<uint32_t>(corrupt() ? hostile_.nasty() : random_.below(64));
        *reinterpret_cast<DiscardRange*>(address) = {sector, count, uint32_t(random_.below(3))};
        return address;
    }

    // One descriptor of any role; a header or a range stands wherever a device might look for one.
    Descriptor descriptor(uint16_t size) {
        Descriptor result = {};
        switch (random_.below(5)) {
            case 0:
                result = {header(), kHeaderSize, 0, 0};
                break;
            case 1:
                result = {range(), sizeof(DiscardRange), 0, 0};
                break;
            case 2:
                result = {hostile_.pools.readable + kPlainData, data_length() % (8 << 10), 0, 0};
                break;
            case 3:
                result = {writable(), data_length(), kDeviceWrites, 0};
                break;
            case 4:
                result = {writable(), 1, kDeviceWrites, 0};
                break;
        }
        // A nasty length would let a device with no bounds read or write beyond the pool, but only
        // if it is inside RAM as a whole; most are not. Such a length never stands on a readable
        // descriptor.
        if (result.flags & kDeviceWrites && result.length > Pools::kWritable / 2 &&
            result.address + result.length < ram_end()) {
            result.length = Pools::kWritable / 2;
        }
        if (!random_.one_in(4)) result.flags |= kNext;
        result.next = index(size);
        if (corrupt()) result.address = outside_ram();
        if (corrupt()) result.length = 0;
        if (corrupt()) result = indirect();
        return result;
    }

    // A range that begins outside RAM, or that ends there.
    uint64_t outside_ram() {
        const uint64_t address = hostile_.nasty();
        return address < ram_end() ? ram_end() + address : address;
    }

    Descriptor indirect() {
        const uint64_t number = random_.below((Pools::kRings - kTables) / kTableSize);
        const uint64_t address = rings_ + kTables + number * kTableSize;
        auto* inner = reinterpret_cast<Descriptor*>(address);
        const auto count = static_cast<uint16_t>(1 + random_.below(8));
        if (!nested_) {
            nested_ = true;
            for (uint16_t i = 0; i < count; ++i)
                inner[i] = descriptor(count);
            nested_ = false;
        }
        auto length = static_cast<uint32_t>(count * sizeof(Descriptor));
        if (corrupt()) length = static_cast<uint32_t>(random_.below(kTableSize));
        const auto flags = static_cast<uint16_t>(kIndirect | (corrupt() ? random_.next() : 0));
        return {corrupt() ? outside_ram() : address, length, flags, index(size_)};
    }

    // Header, some data, status, with one mistake at most: what gets past the first checks.
    void well_formed(uint16_t head) {
        const uint64_t length = 2 + random_.below(3);
        const bool reads = random_.one_in(2);
        uint16_t place = head;
        for (uint64_t i = 0; i < length; ++i) {
            const auto next = static_cast<uint16_t>((place + 1) % size_);
            Descriptor& entry = table()[place];
            if (i == 0) {
                entry = {header(), kHeaderSize, kNext, next};
            } else if (i == length - 1) {
                entry = {writable(), 1, kDeviceWrites, 0};
            } else if (reads) {
                entry = {writable(), 4096, kNext | kDeviceWrites, next};
            } else {
                entry = {hostile_.pools.readable + kPlainData, 4096, kNext, next};
            }
            if (corrupt()) entry = descriptor(size_);
            place = next;
        }
    }

    Hostile& hostile_;
    Random& random_;
    uint64_t rings_;
    uint16_t size_;
    bool nested_ = false;
};

void linger(Hostile& hostile) {
    if (!hostile.random.one_in(2)) return;
    const uint64_t until = rdtsc() + hostile.clock.ticks_from_us(hostile.random.below(300));
    while (rdtsc() < until)
        relax();
}

}  // namespace

void attack_queue_addresses(Hostile& hostile) {
    const VirtioMmio& device = hostile.any_device();
    device.negotiate(hostile.random.next());
    const uint64_t rings = hostile.pools.rings;
    uint64_t addresses[] = {rings, rings + kAvail, rings + kUsed};
    fill(reinterpret_cast<void*>(rings), 0, Pools::kRings);
    reinterpret_cast<uint16_t*>(rings + kAvail)[1] = static_cast<uint16_t>(hostile.random.next());
    for (uint64_t& address : addresses) {
        switch (hostile.random.below(5)) {
            case 0:
                address = ram_end() - hostile.random.below(64) * 16;
                break;  // straddles the end
            case 1:
                address = ram_end() + hostile.nasty() % (uint64_t{1} << 62);
                break;
            case 2:
                address += hostile.random.below(16);
                break;  // misaligned
            case 3:
                address = rings;
                break;  // on top of one another
            default:
                break;
        }
    }
    const auto size = static_cast<uint32_t>(hostile.random.one_in(2) ? kMaxRing : hostile.nasty());
    mount(device, size, addresses[0], addresses[1], addresses[2]);
    device.notify(static_cast<uint32_t>(hostile.random.one_in(2) ? 0 : hostile.nasty()));
    linger(hostile);
    if (hostile.random.one_in(2)) device.reset();
}

void attack_chains(Hostile& hostile) {
    const VirtioMmio& device = hostile.any_device();
    device.negotiate(hostile.random.next() | (hostile.random.one_in(2) ? kFeatureIndirect : 0));
    ChainBuilder builder(hostile);
    builder.build();
    const uint64_t rings = hostile.pools.rings;
    mount(device, builder.size(), rings, rings + kAvail, rings + kUsed);
    device.notify(0);
    linger(hostile);
    // The index moves on under a device that is still busy, by any distance.
    auto* avail_index = reinterpret_cast<volatile uint16_t*>(rings + kAvail) + 1;
    *avail_index = static_cast<uint16_t>(*avail_index + hostile.random.below(2 * builder.size()));
    device.notify(0);
    linger(hostile);
    device.acknowledge_interrupt();
    if (hostile.random.one_in(2)) device.reset();
}

}  // namespace bare

// SPDX-License-Identifier: Apache-2.0
// Both dirty logs on the real KVM: whatever the guest writes is collected.
#include <cstring>
#include <memory>

#include "kvm/running_guest.h"
#include "vmm/dirty_log/ring_dirty_log.h"

namespace fmvm::test {

namespace {

constexpr std::uint64_t small_ring = 1024;  // entries; fewer are refused where the CPU has PML
constexpr PageIndex first_written = 512;    // at 2 MiB, above the code

// Writes ecx pages from edi on, one word each, and says so at port 0x10.
const std::vector<std::uint8_t> write_pages{
    0x89, 0x0f,                          // 1: mov [edi], ecx
    0x81, 0xc7, 0x00, 0x10, 0x00, 0x00,  //    add edi, 0x1000
    0x49,                                //    dec ecx
    0x75, 0xf5,                          //    jnz 1b
    0xe6, 0x10,                          //    out 0x10, al
    0xf4,                                //    hlt
};

class DonePort : public BusDevice {
  public:
    void read(std::uint64_t, std::span<std::uint8_t>) override {}
    void write(std::uint64_t, std::span<const std::uint8_t>) override { done = true; }
    bool done = false;
};

struct WritingGuest {
    explicit WritingGuest(DirtyLogKind kind)
        : guest(write_pages, 1,
                [this, kind](RawGuest& raw) {
                    log = kind == DirtyLogKind::ring
                              ? require(
                                    create_ring_dirty_log(raw.kvm, raw.vm, raw.memory, small_ring))
                              : require(create_bitmap_dirty_log(raw.kvm, raw.vm, raw.memory));
                }),
          vcpu(guest.take_vcpu()) {
        guest.ports.attach(0x10, 1, port);
        require(log->add_vcpu(vcpu));
    }

    void write(PageIndex first, unsigned count) {
        vcpu.kick();  // completes the last port access
        REQUIRE(vcpu.run() == VcpuExit::interrupted);
        vcpu.clear_kick();
        kvm_regs regs = registers(vcpu);
        regs.rip = code_address.value();
        regs.rdi = first * page_size;
        regs.rcx = count;
        REQUIRE(retry_ioctl(vcpu.fd(), KVM_SET_REGS, &regs) == 0);
        port.done = false;
        for (int exits = 0; !port.done; ++exits) {
            REQUIRE(exits < 10000);
            INFO(vcpu.report());
            REQUIRE(vcpu.run() == VcpuExit::handled);
        }
    }
    PageSet collect() {
        PageSet pages(guest.memory.page_count());
        require(log->collect(pages));
        return pages;
    }
    void watch_all() {
        PageSet pages(guest.memory.page_count());
        pages.insert_all();
        require(log->watch(pages));
    }
    std::uint64_t page_count() const { return guest.memory.page_count(); }

    DonePort port;
    std::unique_ptr<DirtyLog> log;
    RawGuest guest;
    Vcpu vcpu;
};

bool contains(const PageSet& pages, PageIndex first, unsigned count) {
    for (PageIndex page = first; page < first + count; ++page) {
        if (!pages.contains(page)) return false;
    }
    return true;
}

DirtyLogKind each_kind() {
    return GENERATE(DirtyLogKind::bitmap, DirtyLogKind::ring);
}

}  // namespace

TEST_CASE("a dirty log: all at first, then exactly what was written since it was watched",
          "[kvm]") {
    WritingGuest guest(each_kind());
    require(guest.log->start());
    CHECK(guest.collect().size() == guest.page_count());
    guest.write(first_written, 1);  // KVM may take the first fetch of the code for a write, too
    guest.collect();
    guest.watch_all();
    CHECK(guest.collect().size() == 0);

    guest.write(first_written, 10);
    guest.write(first_written + 100, 1);
    const PageSet written = guest.collect();
    CHECK(contains(written, first_written, 10));
    CHECK(written.contains(first_written + 100));
    CHECK(written.size() == 11);
    CHECK(guest.collect().size() == 11);  // until they are watched anew

    PageSet some(guest.page_count());
    for (PageIndex page = 0; page < 4; ++page)
        some.insert(first_written + page);
    require(guest.log->watch(some));
    PageSet left = guest.collect();
    CHECK(left.size() == 7);
    CHECK_FALSE(left.contains(first_written));
    guest.write(first_written, 2);
    left = guest.collect();
    CHECK(left.size() == 9);
    CHECK(contains(left, first_written, 2));
}

TEST_CASE("a dirty log: what is written between its stop and its start is logged as all is",
          "[kvm]") {
    WritingGuest guest(each_kind());
    require(guest.log->start());
    guest.watch_all();
    guest.write(first_written, 5);
    require(guest.log->stop());
    guest.write(first_written, 300);
    require(guest.log->start());
    CHECK(guest.collect().size() == guest.page_count());
    guest.watch_all();
    CHECK(guest.collect().size() == 0);
    guest.write(first_written, 300);
    CHECK(contains(guest.collect(), first_written, 300));
}

TEST_CASE("a dirty log: a working set larger than the ring loses nothing", "[kvm]") {
    WritingGuest guest(each_kind());
    require(guest.log->start());
    const auto most = static_cast<unsigned>(guest.page_count() - first_written);
    REQUIRE(most > small_ring);
    for (int round = 0; round < 20; ++round) {
        guest.watch_all();
        guest.write(first_written, most);
        REQUIRE(contains(guest.collect(), first_written, most));
    }
    // It is exact again.
    guest.watch_all();
    guest.collect();
    guest.watch_all();
    guest.write(first_written, 3);
    const PageSet written = guest.collect();
    CHECK(contains(written, first_written, 3));
    CHECK(written.size() == 3);
}

namespace {

// RAM as it was when its pages were last collected, brought up to date with collected pages only.
class Copy {
  public:
    explicit Copy(Machine& machine) : machine_(machine), dirty_(machine.memory().page_count()) {
        bytes_.resize(machine.memory().total_bytes());
    }
    // One cut; how many pages were collected.
    std::uint64_t update() {
        const QuiesceGuard guard(machine_);
        dirty_.clear();
        require(machine_.dirty_log().collect(dirty_));
        require(machine_.dirty_log().watch(dirty_));
        const std::uint64_t found = dirty_.size();
        const std::vector<std::uint64_t> marks = machine_.memory().take_dirty_marks();
        for (std::size_t i = 0; i < marks.size(); ++i)
            dirty_.words()[i] |= marks[i];
        dirty_.for_each([this](PageIndex page) {
            std::memcpy(&bytes_[page * page_size], machine_.memory().page(page).data(), page_size);
        });
        check_equal();
        return found;
    }

  private:
    void check_equal() {
        std::uint64_t different = 0;
        for (PageIndex page = 0; page < machine_.memory().page_count(); ++page) {
            different += std::memcmp(&bytes_[page * page_size], machine_.memory().page(page).data(),
                                     page_size) != 0;
        }
        REQUIRE(different == 0);
    }

    Machine& machine_;
    PageSet dirty_;
    std::vector<std::uint8_t> bytes_;
};

void follow(const std::string& name, const std::string& cmdline, unsigned cpus,
            std::uint64_t disk_bytes = 0) {
    RunningGuest guest(name, cmdline, disk_bytes);
    guest.options.cpus = cpus;
    guest.dirty_log = each_kind();
    guest.build();
    Machine& machine = *guest.built.machine;
    machine.start();
    for (int start = 0; start < 2; ++start) {
        {
            const QuiesceGuard guard(machine);
            require(machine.dirty_log().start());
            machine.memory().take_dirty_marks();
        }
        Copy copy(machine);
        CHECK(copy.update() == machine.memory().page_count());
        std::uint64_t found_max = 0;
        for (int cut = 0; cut < 40 && !guest.has_ended(std::chrono::milliseconds(15)); ++cut)
            found_max = std::max(found_max, copy.update());
        CHECK(found_max < machine.memory().page_count());
        require(machine.dirty_log().stop());
    }
    REQUIRE(guest.has_ended(guest_wait_max));
    CHECK(guest.end.get() == GuestEnd::power_off);
}

}  // namespace

TEST_CASE("a copy brought up to date from a dirty log equals RAM, cut after cut", "[kvm]") {
    SECTION("ring 3 writes") {
        follow("dirty", "mib=8 seconds=5", 1);
    }
    SECTION("several vCPUs") {
        follow("smp", "rounds=300 cpus=2", 2);
    }
    SECTION("a disk") {
        follow("blkload", "op=mixed verify=1 depth=32 wait=irq requests=20000", 1, 32 * mib);
    }
}

}  // namespace fmvm::test

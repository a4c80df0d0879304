// SPDX-License-Identifier: Apache-2.0
#include "kvm/raw_guest.h"

#include <filesystem>
#include <fstream>
#include <future>

#include "base/little_endian.h"
#include "base/thread_priority.h"

namespace fmvm::test {

namespace {

const std::vector<std::uint8_t> count_for_ever{
    0x43,        // 1: inc ebx
    0xeb, 0xfd,  //    jmp 1b
};

// Answers each read with the next number.
class NumberPort : public BusDevice {
  public:
    void read(std::uint64_t, std::span<std::uint8_t> data) override { store_le(data, 0, ++last); }
    void write(std::uint64_t, std::span<const std::uint8_t>) override {}
    std::atomic<std::uint32_t> last = 0;
};

// Notes on the vCPU thread that the guest ended; the test looks at it from its own.
class EndWatch {
  public:
    VcpuThread::EndHandler handler() {
        return [this](VcpuExit, const Vcpu& vcpu) {
            const std::lock_guard lock(mutex_);
            report_ = "ended: " + vcpu.report();
        };
    }
    std::string report() const {
        const std::lock_guard lock(mutex_);
        return report_;
    }

  private:
    mutable std::mutex mutex_;
    std::string report_;
};

constexpr auto end_wait_max = std::chrono::seconds(20);

// Of this process.
pid_t thread_named(const std::string& name) {
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        std::string found;
        std::getline(std::ifstream(task.path() / "comm"), found);
        if (found == name) return std::stoi(task.path().filename());
    }
    FAIL("no thread " << name);
    return 0;
}

// What a thread gets that asks for it, which takes a permission.
int niceness_after_asking_for(int niceness) {
    int got = 0;
    std::thread([&] {
        set_niceness(0, niceness);
        got = niceness_of(0);
    }).join();
    return got;
}

// Runs the code until the vCPU reports its end.
VcpuExit run_to_end(RawGuest& guest, std::string* report = nullptr) {
    std::promise<VcpuExit> ended;
    VcpuThread thread(guest.take_vcpu(), [&](VcpuExit exit, const Vcpu& vcpu) {
        if (report != nullptr) *report = vcpu.report();
        ended.set_value(exit);
    });
    REQUIRE(thread.resume());
    std::future<VcpuExit> future = ended.get_future();
    REQUIRE(future.wait_for(end_wait_max) == std::future_status::ready);
    return future.get();
}

}  // namespace

TEST_CASE("a vCPU stops and goes on thousands of times, and no kick is lost", "[kvm]") {
    RawGuest guest(count_for_ever);
    EndWatch end;
    VcpuThread thread(guest.take_vcpu(), end.handler());
    CHECK(thread.state() == RunState::created);
    std::uint64_t before = 0;
    for (int i = 0; i < 3000; ++i) {
        REQUIRE(thread.resume());
        CHECK_FALSE(thread.resume());
        thread.request_stop();
        thread.wait_stopped();
        REQUIRE(thread.state() == RunState::stopped);
        const std::uint64_t count = registers(thread.vcpu()).rbx;
        REQUIRE(count >= before);
        before = count;
        REQUIRE(registers(thread.vcpu()).rbx == count);
    }
    REQUIRE(end.report() == "");
    thread.finish();
    CHECK(thread.state() == RunState::finished);
    CHECK_FALSE(thread.resume());
}

TEST_CASE("a stopped vCPU has finished the port access it was in", "[kvm]") {
    RawGuest guest({
        0xba, 0x00, 0x0a, 0x00, 0x00,  //    mov edx, 0xa00
        0xed,                          // 1: in eax, dx
        0xeb, 0xfd,                    //    jmp 1b
    });
    NumberPort port;
    guest.ports.attach(0xa00, 4, port);
    EndWatch end;
    VcpuThread thread(guest.take_vcpu(), end.handler());
    for (int i = 0; i < 500; ++i) {
        const std::uint32_t before = port.last;
        const auto deadline = std::chrono::steady_clock::now() + end_wait_max;
        REQUIRE(thread.resume());
        while (port.last == before && std::chrono::steady_clock::now() < deadline) {
            std::this_thread::yield();
        }
        thread.request_stop();
        thread.wait_stopped();
        REQUIRE(port.last > before);
        REQUIRE(registers(thread.vcpu()).rax == port.last);
    }
}

TEST_CASE("stop requests from several threads at once are one stop", "[kvm]") {
    RawGuest guest(count_for_ever);
    VcpuThread thread(guest.take_vcpu(), [](VcpuExit, const Vcpu&) {});
    for (int i = 0; i < 200; ++i) {
        REQUIRE(thread.resume());
        std::thread other([&] { thread.request_stop(); });
        thread.request_stop();
        thread.wait_stopped();
        other.join();
        REQUIRE(thread.state() == RunState::stopped);
    }
}

TEST_CASE("a vCPU goes first while that is wanted, as far as the host permits", "[kvm]") {
    RawGuest guest(count_for_ever);
    VcpuThread thread(guest.take_vcpu(), [](VcpuExit, const Vcpu&) {});
    REQUIRE(thread.resume());
    thread.request_stop();
    thread.wait_stopped();
    const pid_t id = thread_named("vcpu-0");
    const int usual = niceness_of(0);
    CHECK(niceness_of(id) == usual);
    thread.set_first(true);
    const int permitted = niceness_after_asking_for(usual - 5);
    if (permitted == usual) WARN("no CAP_SYS_NICE: that a vCPU goes first is not tested");
    CHECK(niceness_of(id) == permitted);
    thread.set_first(false);
    CHECK(niceness_of(id) == usual);
}

TEST_CASE("a triple fault is a crash", "[kvm]") {
    RawGuest guest({0x0f, 0x0b});  // ud2 without an interrupt table
    CHECK(run_to_end(guest) == VcpuExit::crashed);
}

TEST_CASE("int3 is delivered as a breakpoint, by the CPU or by fmvm", "[kvm]") {
    // The table at 0x2000 sends vector 3 to the code at 0x100040, which counts in ebx.
    RawGuest guest({
        0x0f, 0x01, 0x1d, 0x00, 0x30, 0x00, 0x00,  //    lidt [0x3000]
        0xbc, 0x00, 0x50, 0x00, 0x00,              //    mov esp, 0x5000
        0xcc,                                      //    int3
        0x9b,                                      //    fwait
        0xba, 0x00, 0x0a, 0x00, 0x00,              //    mov edx, 0xa00
        0xed,                                      // 1: in eax, dx
        0xeb, 0xfd,                                //    jmp 1b
    });
    const std::uint64_t gate = 0x00108e0000100040;  // selector 0x10, 32-bit interrupt gate
    REQUIRE(guest.memory.write_object(GuestAddress(0x2000 + 3 * 8), gate));
    const std::uint8_t table[6] = {0xff, 0x07, 0x00, 0x20, 0x00, 0x00};
    REQUIRE(guest.memory.write(GuestAddress(0x3000), table));
    // inc ebx; add esp, 12; jmp [esp - 12]: a return without IRET, which 32-bit emulators refuse
    const std::uint8_t handler[] = {0x43, 0x83, 0xc4, 0x0c, 0xff, 0x64, 0x24, 0xf4};
    REQUIRE(guest.memory.write(GuestAddress(0x100040), handler));
    NumberPort port;
    guest.ports.attach(0xa00, 4, port);
    EndWatch end;
    VcpuThread thread(guest.take_vcpu(), end.handler());
    for (int i = 0; i < 1000 && port.last == 0; ++i) {
        REQUIRE(thread.resume());
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        thread.request_stop();
        thread.wait_stopped();
    }
    REQUIRE(end.report() == "");
    CHECK(port.last > 0);
    CHECK(registers(thread.vcpu()).rbx == 1);
}

TEST_CASE("an instruction that cannot be completed ends the guest with a report", "[kvm]") {
    // MOV to CR4 sets OSFXSR; then PXOR, which needs no memory and which emulators refuse.
    RawGuest guest({
        0x0f, 0x20, 0xe0,        // mov eax, cr4
        0x0d, 0x00, 0x02, 0, 0,  // or eax, 0x200
        0x0f, 0x22, 0xe0,        // mov cr4, eax
        0x66, 0x0f, 0xef, 0xc0,  // pxor xmm0, xmm0
        0x0f, 0x0b,              // ud2: where the CPU executes all this itself
    });
    std::string report;
    if (run_to_end(guest, &report) == VcpuExit::crashed) {
        WARN("this host runs ring 0 in hardware: there is nothing it cannot execute");
        return;
    }
    CHECK_THAT(report, Catch::Contains("66 0f ef c0"));
    CHECK_THAT(report, Catch::Contains("ring 0"));
    CHECK_THAT(report, Catch::Contains("rip=0x000000000010000b"));
}

}  // namespace fmvm::test

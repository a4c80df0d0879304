// SPDX-License-Identifier: Apache-2.0
#include "guest.h"

#include "boot_info.h"
#include "cpu.h"
#include "interrupts.h"
#include "serial.h"
#include "smp.h"

extern "C" {
extern uint64_t fault_vector, fault_error, fault_address, fault_rip, fault_cs;
}

namespace bare {
namespace {

// ACPI 6.4, 4.8.3.7: sleep control register, SLP_EN with the SLP_TYP that fmvm gives to S5.
constexpr uint16_t kSleepControlPort = 0x600;
constexpr uint8_t kPowerOff = 0x34;
constexpr uint16_t kI8042Port = 0x64;
constexpr uint8_t kPulseReset = 0xfe;

[[noreturn]] void hang() {
    for (;;)
        kernel_call(CALL_HALT);
}

// QEMU's microvm has no i8042; there, and only there, the triple fault behind it is reached.
[[noreturn]] void reset() {
    out8(kI8042Port, kPulseReset);
    kernel_call(CALL_TRIPLE_FAULT);
    hang();
}

[[noreturn]] void end(std::string_view how) {
    if (how == "reset") reset();
    if (how == "crash") kernel_call(CALL_TRIPLE_FAULT);
    if (how == "poweroff") out8(kSleepControlPort, kPowerOff);
    hang();
}

void require_known_end(std::string_view how) {
    for (std::string_view known : {"poweroff", "reset", "crash", "hang"}) {
        if (how == known) return;
    }
    fail("end= is none of poweroff, reset, crash, hang");
}

}  // namespace

void fail(std::string_view why) {
    serial.write((Text() << guest_name << ": FAILED " << why << '\n').view());
    reset();
}

void fail(const Text& why) {
    fail(why.view());
}

// traps.S comes here, in ring 3, with an exception that nobody expected.
extern "C" [[noreturn]] void fault_main() {
    fail(Text() << "exception " << fault_vector << " error=0x" << Hex{fault_error}
                << " ring=" << (fault_cs & 3) << " rip=0x" << Hex{fault_rip} << " cr2=0x"
                << Hex{fault_address});
}

// start.S comes here, in ring 3, on every CPU.
extern "C" [[noreturn]] void user_main(uint32_t cpu) {
    if (cpu != 0) run_application_processor(cpu);
    const Options options(read_boot_info());
    enable_local_apic();
    const std::string_view how = options.text("end", "poweroff");
    require_known_end(how);
    Text summary;
    run(options, summary);
    serial.write((Text() << guest_name << ": ok " << summary.view() << '\n').view());
    serial.drain();
    end(how);
}

}  // namespace bare

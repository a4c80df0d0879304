// SPDX-License-Identifier: Apache-2.0
#include "vmm/emulation/emulation_assist.h"

#include <catch2/catch.hpp>
#include <optional>
#include <vector>

using namespace fmvm;

namespace {

struct FakeCpu : AssistCpu {
    bool get_regs(kvm_regs& out) override {
        out = regs;
        return !refuse;
    }
    bool set_regs(const kvm_regs& in) override {
        regs = in;
        return true;
    }
    bool get_fpu(kvm_fpu& out) override {
        out = fpu;
        return !refuse;
    }
    bool set_fpu(const kvm_fpu& in) override {
        fpu = in;
        return true;
    }
    bool read_msr(std::uint32_t index, std::uint64_t& value) override {
        value = index == 0x10 ? 0x1122334455667788 : index == 0xc0000103 ? 0x700000002 : 0;
        return !refuse;
    }
    bool read_xcr0(std::uint64_t& value) override {
        value = 0x0000000200000007;
        return !refuse;
    }
    bool in_64_bit_code() override { return long_mode; }
    bool read_memory(std::uint64_t linear, std::uint32_t& value) override {
        if (linear != word_at) return false;
        value = word;
        return true;
    }
    bool write_memory(std::uint64_t linear, std::uint32_t value) override {
        if (linear != word_at) return false;
        word = value;
        return true;
    }
    bool inject_exception(std::uint8_t vector) override {
        injected = vector;
        injected_at = regs.rip;
        return true;
    }

    kvm_regs regs{};
    kvm_fpu fpu{};
    bool long_mode = true;
    std::uint64_t word_at = 0;  // the only linear address that is mapped
    std::uint32_t word = 0;
    std::optional<std::uint8_t> injected;
    std::uint64_t injected_at = 0;
    bool refuse = false;
};

FakeCpu make_cpu() {
    FakeCpu cpu;
    cpu.regs.rip = 0x1000;
    cpu.regs.rflags = 0x202;
    return cpu;
}

bool complete(FakeCpu& cpu, const std::vector<std::uint8_t>& bytes) {
    return complete_instruction(bytes, cpu);
}

}  // namespace

TEST_CASE("assist: int3 is a trap behind itself", "[assist]") {
    FakeCpu cpu = make_cpu();
    REQUIRE(complete(cpu, {0xcc, 0x90}));
    CHECK(cpu.injected == 3);
    CHECK(cpu.injected_at == 0x1001);  // registers first: setting them drops a queued exception
    CHECK(cpu.regs.rip == 0x1001);
}

TEST_CASE("assist: fwait only moves on", "[assist]") {
    FakeCpu cpu = make_cpu();
    REQUIRE(complete(cpu, {0x9b}));
    CHECK(cpu.regs.rip == 0x1001);
    CHECK_FALSE(cpu.injected.has_value());
}

TEST_CASE("assist: fnclex clears the exception bits and keeps the rest", "[assist]") {
    FakeCpu cpu = make_cpu();
    cpu.fpu.fsw = 0xffff;
    cpu.fpu.fcw = 0x37f;
    REQUIRE(complete(cpu, {0xdb, 0xe2}));
    CHECK(cpu.fpu.fsw == 0x7f00);
    CHECK(cpu.fpu.fcw == 0x37f);
    CHECK(cpu.regs.rip == 0x1002);
}

TEST_CASE("assist: emms empties the register stack", "[assist]") {
    FakeCpu cpu = make_cpu();
    cpu.fpu.ftwx = 0xff;
    REQUIRE(complete(cpu, {0x0f, 0x77}));
    CHECK(cpu.fpu.ftwx == 0);
    CHECK(cpu.regs.rip == 0x1002);
}

TEST_CASE("assist: clac and stac", "[assist]") {
    FakeCpu cpu = make_cpu();
    REQUIRE(complete(cpu, {0x0f, 0x01, 0xcb}));
    CHECK(cpu.regs.rflags == (0x202U | 1U << 18));
    REQUIRE(complete(cpu, {0x0f, 0x01, 0xca}));
    CHECK(cpu.regs.rflags == 0x202);
    CHECK(cpu.regs.rip == 0x1006);
}

TEST_CASE("assist: rdtscp", "[assist]") {
    FakeCpu cpu = make_cpu();
    cpu.regs.rax = cpu.regs.rcx = cpu.regs.rdx = ~0ULL;
    REQUIRE(complete(cpu, {0x0f, 0x01, 0xf9}));
    CHECK(cpu.regs.rax == 0x55667788);
    CHECK(cpu.regs.rdx == 0x11223344);
    CHECK(cpu.regs.rcx == 2);
    CHECK(cpu.regs.rip == 0x1003);
}

TEST_CASE("assist: xgetbv of XCR0 only", "[assist]") {
    FakeCpu cpu = make_cpu();
    cpu.regs.rcx = 0xffffffff00000000;  // ECX is what counts
    REQUIRE(complete(cpu, {0x0f, 0x01, 0xd0}));
    CHECK(cpu.regs.rax == 7);
    CHECK(cpu.regs.rdx == 2);
    CHECK(cpu.regs.rip == 0x1003);
    cpu.regs.rcx = 1;
    CHECK_FALSE(complete(cpu, {0x0f, 0x01, 0xd0}));
    CHECK(cpu.regs.rip == 0x1003);
}

TEST_CASE("assist: popcnt of every register, both sizes", "[assist]") {
    FakeCpu cpu = make_cpu();
    cpu.regs.rcx = 0xf0000000000000ff;
    cpu.regs.rflags = 0x202 | 0x8d5;
    REQUIRE(complete(cpu, {0xf3, 0x0f, 0xb8, 0xc1}));  // popcnt eax, ecx
    CHECK(cpu.regs.rax == 8);
    CHECK(cpu.regs.rflags == 0x202);
    CHECK(cpu.regs.rip == 0x1004);
    REQUIRE(complete(cpu, {0xf3, 0x48, 0x0f, 0xb8, 0xc1}));  // popcnt rax, rcx
    CHECK(cpu.regs.rax == 12);
    CHECK(cpu.regs.rip == 0x1009);
    cpu.regs.r15 = 7;
    REQUIRE(complete(cpu, {0xf3, 0x4d, 0x0f, 0xb8, 0xc7}));  // popcnt r8, r15
    CHECK(cpu.regs.r8 == 3);
    cpu.regs.rsi = 0;
    REQUIRE(complete(cpu, {0xf3, 0x0f, 0xb8, 0xfe}));  // popcnt edi, esi
    CHECK(cpu.regs.rdi == 0);
    CHECK((cpu.regs.rflags & 0x40) != 0);
}

TEST_CASE("assist: what is not ours changes nothing", "[assist]") {
    const std::vector<std::vector<std::uint8_t>> others = {
        {},
        {0x90},
        {0xcd, 0x03},                    // int 3 in two bytes: KVM does it
        {0xf3},                          // cut short
        {0xf3, 0x90},                    // pause
        {0xf3, 0x0f, 0xb8},              // popcnt, cut short
        {0xf3, 0x48},                    // a prefix and no more
        {0xf3, 0x0f, 0xb8, 0x01},        // popcnt from memory
        {0x66, 0xf3, 0x0f, 0xb8, 0xc1},  // 16 bits wide
        {0x0f, 0x01},                    // cut short
        {0x0f, 0x01, 0xc1},              // vmcall
        {0xdb, 0xe3},                    // fninit
    };
    for (const auto& bytes : others) {
        FakeCpu cpu = make_cpu();
        CHECK_FALSE(complete(cpu, bytes));
        CHECK(cpu.regs.rip == 0x1000);
        CHECK(cpu.regs.rflags == 0x202);
        CHECK_FALSE(cpu.injected.has_value());
    }
}

TEST_CASE("assist: a KVM that refuses a register is reported", "[assist]") {
    const std::vector<std::vector<std::uint8_t>> ours = {
        {0xcc},
        {0x9b},
        {0xdb, 0xe2},
        {0x0f, 0x77},
        {0x0f, 0x01, 0xca},
        {0x0f, 0x01, 0xf9},
        {0x0f, 0x01, 0xd0},
        {0xf3, 0x0f, 0xb8, 0xc1},
    };
    for (const auto& bytes : ours) {
        FakeCpu cpu = make_cpu();
        cpu.refuse = true;
        CHECK_FALSE(complete(cpu, bytes));
        CHECK(cpu.regs.rip == 0x1000);
        CHECK_FALSE(cpu.injected.has_value());
    }
}

TEST_CASE("assist: ldmxcsr and stmxcsr through every addressing form", "[assist]") {
    struct Form {
        std::vector<std::uint8_t> bytes;  // of LDMXCSR
        std::uint64_t address;
    };
    const Form forms[] = {
        {{0x0f, 0xae, 0x10}, 0x5000},                                     // [rax]
        {{0x0f, 0xae, 0x54, 0x24, 0x04}, 0x7004},                         // [rsp + 4]
        {{0x0f, 0xae, 0x55, 0xf8}, 0x8ff8},                               // [rbp - 8]
        {{0x0f, 0xae, 0x95, 0x00, 0x01, 0x00, 0x00}, 0x9100},             // [rbp + 0x100]
        {{0x0f, 0xae, 0x15, 0x10, 0x00, 0x00, 0x00}, 0x1000 + 7 + 0x10},  // [rip + 0x10]
        {{0x0f, 0xae, 0x14, 0x25, 0x00, 0x60, 0x00, 0x00}, 0x6000},       // [0x6000]
        {{0x0f, 0xae, 0x14, 0x98}, 0x5000 + 4 * 0x100},                   // [rax + rbx * 4]
        {{0x43, 0x0f, 0xae, 0x14, 0x48}, 0xa000 + 2 * 0x30},              // [r8 + r9 * 2]
        {{0x41, 0x0f, 0xae, 0x55, 0x10}, 0xb010},                         // [r13 + 0x10]
    };
    for (const Form& form : forms) {
        FakeCpu cpu = make_cpu();
        cpu.regs.rax = 0x5000;
        cpu.regs.rbx = 0x100;
        cpu.regs.rsp = 0x7000;
        cpu.regs.rbp = 0x9000;
        cpu.regs.r8 = 0xa000;
        cpu.regs.r9 = 0x30;
        cpu.regs.r13 = 0xb000;
        cpu.word_at = form.address;
        cpu.word = 0x1fa0;
        REQUIRE(complete(cpu, form.bytes));
        CHECK(cpu.fpu.mxcsr == 0x1fa0);
        CHECK(cpu.regs.rip == 0x1000 + form.bytes.size());

        std::vector<std::uint8_t> store = form.bytes;
        store[store[0] == 0x0f ? 2 : 3] |= 0x08;  // /3
        cpu.regs.rip = 0x1000;
        cpu.fpu.mxcsr = 0x1f80;
        REQUIRE(complete(cpu, store));
        CHECK(cpu.word == 0x1f80);
    }
}

TEST_CASE("assist: an mxcsr that cannot be completed changes nothing", "[assist]") {
    FakeCpu cpu = make_cpu();
    cpu.word_at = 0x5000;
    cpu.word = 0x1f80;
    CHECK_FALSE(complete(cpu, {0x0f, 0xae, 0x10}));  // [rax] = [0]: not mapped
    CHECK_FALSE(complete(cpu, {0x0f, 0xae, 0xd0}));  // a register form
    CHECK_FALSE(complete(cpu, {0x0f, 0xae, 0x54}));  // cut short
    cpu.regs.rax = 0x5000;
    cpu.word = 0x00010000;  // a reserved bit
    CHECK_FALSE(complete(cpu, {0x0f, 0xae, 0x10}));
    cpu.word = 0x1f80;
    cpu.long_mode = false;
    CHECK_FALSE(complete(cpu, {0x0f, 0xae, 0x10}));
    CHECK(cpu.regs.rip == 0x1000);
    CHECK(cpu.fpu.mxcsr == 0);
}

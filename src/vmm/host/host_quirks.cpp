// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/host_quirks.h"

#include <algorithm>
#include <cctype>
#include <vector>

namespace fmvm {

namespace {

constexpr std::string_view emulated_ring0_parameters[] = {
    // xsave, xrstor and xgetbv are not emulated, and KVM cannot hide XSAVE from ring 0 here: the
    // kernel must fall back to fxsave.
    "noxsave",

    // Further features whose instructions the emulator lacks or that CPUID cannot hide: SMAP 308,
    // SMEP 295, POPCNT 151, RDRAND 158, RDSEED 306, PCID 145, INVPCID 298, CLFLUSHOPT 311,
    // CLWB 312, RDPID 534, UMIP 514, RDTSCP 59. And what makes kernels choose SIMD code for
    // checksums and ciphers, which cannot be emulated: SSSE3 137, SSE4.1 147, SSE4.2 148,
    // PCLMULQDQ 129, AES 153, SHA 317. And ERMS 297, FSRM 580: an emulated `rep movsb` costs per
    // byte, the `rep movsq` that Linux uses without them per eight. (Numbers of Linux's
    // asm/cpufeatures.h; they have not changed
    // since they were given. Linux 6.1 reads at most 127 characters here.)
    "clearcpuid=308,295,151,158,306,145,298,311,312,534,514,59,137,147,148,129,153,317,297,580",

    // The watchdog compares clocks with code that takes milliseconds when emulated, and would
    // declare a sound TSC unstable.
    "tsc=reliable",

    // Retpolines, buffer clearing and page-table switches cost thousands of emulated instructions
    // per kernel entry, and protect nothing: ring 0 does not run on the CPU's predictors.
    "mitigations=off",

    // Ring 3 reads the raw host TSC whatever the guest's offset, so the time computed in the vDSO
    // would disagree with the kernel's.
    "vdso=0",

    // Becomes init's environment. Ring 3 sees AVX in CPUID, but a kernel without xsave preserves
    // only the SSE state: glibc's AVX routines would lose their registers at a context switch.
    ("GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-AVX,"
     "-AVX_Fast_Unaligned_Load,-AVX2_Usable,-AVX512F_Usable"),
};

// Linux treats '-' and '_' in parameter names as equal (kernel/params.c, parameq).
std::string normalised_name(std::string_view parameter) {
    std::string name(parameter.substr(0, parameter.find('=')));
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
}

// The parameters' names, up to a "--": what follows belongs to init. White space inside double
// quotes does not separate (kernel/params.c, next_arg).
std::vector<std::string> parameter_names(std::string_view command_line) {
    std::vector<std::string> names;
    std::string word;
    bool quoted = false;
    const auto finish_word = [&] {
        if (!word.empty()) names.push_back(normalised_name(word));
        word.clear();
    };
    for (const char c : command_line) {
        if (std::isspace(static_cast<unsigned char>(c)) && !quoted) {
            if (word == "--") return names;
            finish_word();
        } else if (c == '"') {
            quoted = !quoted;
        } else {
            word += c;
        }
    }
    if (word != "--") finish_word();
    return names;
}

}  // namespace

std::string host_quirk_parameters(Ring0Kind ring0, std::string_view command_line) {
    if (ring0 == Ring0Kind::hardware) return {};
    const std::vector<std::string> given = parameter_names(command_line);
    std::string parameters;
    for (const std::string_view parameter : emulated_ring0_parameters) {
        if (std::ranges::find(given, normalised_name(parameter)) != given.end()) continue;
        if (!parameters.empty()) parameters += ' ';
        parameters += parameter;
    }
    return parameters;
}

}  // namespace fmvm

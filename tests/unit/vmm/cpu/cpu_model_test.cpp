// SPDX-License-Identifier: Apache-2.0
#include "vmm/cpu/cpu_model.h"

#include <catch2/catch.hpp>
#include <set>

#include "support/cpuid_entries.h"
#include "vmm/cpu/cpu_comparison.h"

using namespace fmvm;
using fmvm::test::find;
using fmvm::test::leaf;

namespace {

using Entry = kvm_cpuid_entry2;

Entry state(std::uint32_t component, std::uint32_t bytes, std::uint32_t offset) {
    Entry entry{};
    entry.function = 0xd;
    entry.index = component;
    entry.eax = bytes;
    entry.ebx = offset;
    return entry;
}

// One that has everything: SSE, AVX, AVX-512 and AMX with their states.
std::vector<Entry> everything() {
    Entry states = leaf(0xd);
    states.eax = 0x602e7;
    states.ecx = 11008;
    return {leaf(1),
            leaf(7),
            leaf(7, 1),
            states,
            leaf(0xd, 1),
            state(2, 256, 576),
            state(5, 64, 1088),
            state(6, 512, 1152),
            state(7, 1024, 1664),
            state(9, 8, 2688),
            state(17, 64, 2752),
            state(18, 8192, 2816),
            leaf(0x80000001),
            leaf(0x80000008)};
}

std::vector<Entry> shown(std::string_view model) {
    std::vector<Entry> entries = everything();
    apply_cpu_model(entries, parse_guest_cpu(model).value());
    return entries;
}

bool has(const std::vector<Entry>& entries, std::string_view name) {
    const CpuFeature* const feature = find_cpu_feature(name);
    REQUIRE(feature != nullptr);
    const Entry* const entry = find(entries, feature->leaf, feature->index);
    return entry != nullptr && (entry->*feature->word >> feature->bit & 1) != 0;
}

}  // namespace

TEST_CASE("the table of CPU features names each once, and only what it knows", "[cpu]") {
    std::set<std::string_view> names;
    for (const CpuFeature& feature : cpu_features()) {
        INFO(feature.name);
        CHECK(names.insert(feature.name).second);
        CHECK(feature.bit < 32);
        CHECK((feature.needs.empty() || find_cpu_feature(feature.needs) != nullptr));
    }
}

TEST_CASE("the model host shows everything", "[cpu]") {
    const std::vector<Entry> before = everything(), after = shown("host");
    REQUIRE(after.size() == before.size());
    CHECK(missing_cpu_features(before, after).empty());
}

TEST_CASE("a level shows what it contains, and what kernels need beside it", "[cpu]") {
    const std::vector<Entry> v2 = shown("x86-64-v2");
    for (const char* name : {"ssse3", "sse4_2", "popcnt", "cx16", "lahf_lm", "smep", "pcid"})
        CHECK(has(v2, name));
    for (const char* name : {"avx", "avx2", "bmi1", "xsave", "aes", "avx512f", "abm"})
        CHECK_FALSE(has(v2, name));
    CHECK(find(v2, 0xd) == nullptr);
    CHECK(find(v2, 7, 1)->edx == 0);  // nothing unknown, nor anything that needs AVX
    CHECK(find(v2, 7, 1)->eax == 0);
    const std::vector<Entry> v3 = shown("x86-64-v3");
    for (const char* name : {"avx", "avx2", "bmi2", "fma", "xsave"})
        CHECK(has(v3, name));
    CHECK_FALSE(has(v3, "avx512f"));
    CHECK(has(shown("x86-64-v4"), "avx512vl"));
    CHECK_FALSE(has(shown("x86-64-v4"), "amx_tile"));
}

TEST_CASE("what is taken away takes along what needs it, and its state", "[cpu]") {
    const std::vector<Entry> without = shown("host,-avx");
    for (const char* name : {"avx", "avx2", "fma", "avx512f", "avx512bw", "vaes"})
        CHECK_FALSE(has(without, name));
    CHECK(has(without, "xsave"));
    CHECK(find(without, 0xd)->eax == (0x602e7 & ~0xe4U));
    for (const unsigned component : {2U, 5U, 6U, 7U})
        CHECK(find(without, 0xd, component) == nullptr);
    CHECK(find(without, 0xd, 9) != nullptr);
    CHECK(find(without, 0xd)->ecx == 2816 + 8192);
    CHECK(find(shown("host,-amx_tile"), 0xd)->ecx == 2688 + 8);
    CHECK(find(shown("host,-amx_tile,-pku"), 0xd)->ecx == 1664 + 1024);
}

TEST_CASE("a CPU model that is none is refused with its remedy", "[cpu]") {
    using Catch::Contains;
    const auto refusal = [](std::string_view text) {
        const Result<CpuModel> model = parse_guest_cpu(text);
        return model.ok() ? std::string("accepted") : model.error().message();
    };
    CHECK_THAT(refusal(""), Contains("host or x86-64-v1"));
    CHECK_THAT(refusal("x86-64-v5"), Contains("x86-64-v4"));
    CHECK_THAT(refusal("host,avx2"), Contains("-NAME"));
    CHECK_THAT(refusal("host,-nonsense"), Contains("-nonsense"));
    CHECK_THAT(refusal("host,"), Contains("-NAME"));
    CHECK_THAT(refusal("host,-avx2,-avx2"), Contains("twice"));
    CHECK_THAT(refusal("-avx2"), Contains("CPU model"));
}

TEST_CASE("what a host lacks is told by name", "[cpu]") {
    const std::vector<Entry> host = shown("host,-avx2,-sha_ni");
    const std::string missing = missing_cpu_features(everything(), host);
    CHECK_THAT(missing, Catch::Contains("avx2") && Catch::Contains("sha_ni"));
    CHECK(missing_cpu_features(host, everything()).empty());
    std::vector<Entry> odd = everything();
    odd[1].edx = 0x1;  // of leaf 7
    CHECK_THAT(missing_cpu_features(everything(), odd), Catch::Contains("bit 1 of leaf 0x7.edx"));
}

TEST_CASE("a guest is refused where the host lacks features, with its remedy", "[cpu]") {
    const std::vector<Entry> host = shown("host,-avx2");
    CHECK(check_cpu_features(host, everything(), "this host").ok());
    const Result<void> checked = check_cpu_features(everything(), host, "the backup's host");
    REQUIRE_FALSE(checked.ok());
    CHECK_THAT(checked.error().message(), Catch::Contains("that the backup's host lacks (") &&
                                              Catch::Contains("avx2") &&
                                              Catch::Contains("with --cpu"));
}

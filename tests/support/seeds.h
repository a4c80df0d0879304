// SPDX-License-Identifier: Apache-2.0
// The random programs that a test goes through, one per seed.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace fmvm::test {

struct Seeds {
    std::uint64_t first = 1;
    std::uint64_t count = 0;
    bool only_one = false;  // a failure is looked at: show everything

    std::uint64_t end() const { return first + count; }
};

// A sanitizer makes a seed ten times as long (the one for threads thirty times, and such programs
// have one); it looks for other mistakes, and needs fewer.
constexpr std::uint64_t seeds_in_this_build(std::uint64_t count) {
#if defined(__SANITIZE_THREAD__)
    return (count + 19) / 20;
#elif defined(__SANITIZE_ADDRESS__)
    return (count + 4) / 5;
#else
    return count;
#endif
}

// FMVM_<name>_SEED=17 asks for that one; FMVM_<name>_SEEDS=10000 for so many, from
// FMVM_<name>_FIRST (1) on; otherwise there are `count`.
inline Seeds seeds_from_environment(const std::string& name, std::uint64_t count) {
    const auto number = [&](const char* what, std::uint64_t otherwise) {
        const char* const text = std::getenv(("FMVM_" + name + what).c_str());
        return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
    };
    if (const std::uint64_t seed = number("_SEED", 0); seed != 0) return {seed, 1, true};
    return {number("_FIRST", 1), number("_SEEDS", seeds_in_this_build(count)), false};
}

}  // namespace fmvm::test

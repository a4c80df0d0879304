// SPDX-License-Identifier: Apache-2.0
// Random numbers and bytes on which checks break, the same for one seed.
#pragma once

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

namespace fmvm::test {

class HostileRandom {
  public:
    explicit HostileRandom(std::uint64_t seed) : engine_(seed) {}
    std::uint64_t next() { return engine_(); }
    std::uint64_t below(std::uint64_t limit) { return engine_() % limit; }
    bool one_in(std::uint64_t count) { return below(count) == 0; }
    // Numbers on which checks break.
    std::uint64_t nasty() {
        const std::uint64_t power = std::uint64_t{1} << below(64);
        switch (below(4)) {
            case 0:
                return power;
            case 1:
                return power - 1;
            case 2:
                return ~std::uint64_t{0} - below(16);
            default:
                return next() >> below(64);
        }
    }

  private:
    std::mt19937_64 engine_;
};

// Some of it is cut, added to, or replaced.
inline std::vector<std::uint8_t> altered(std::vector<std::uint8_t> state, HostileRandom& random) {
    for (std::uint64_t count = 1 + random.below(3); count != 0; --count) {
        if (state.empty() || random.one_in(16)) {
            state.push_back(static_cast<std::uint8_t>(random.next()));
            continue;
        }
        const std::size_t at = random.below(state.size());
        if (random.one_in(16)) {
            state.resize(at);
        } else if (random.one_in(2)) {
            state[at] = static_cast<std::uint8_t>(state[at] ^ 1U << random.below(8));
        } else {
            const std::uint64_t value = random.nasty();
            const std::size_t size =
                std::min<std::size_t>(std::size_t{1} << random.below(4), state.size() - at);
            std::memcpy(state.data() + at, &value, size);
        }
    }
    return state;
}

}  // namespace fmvm::test

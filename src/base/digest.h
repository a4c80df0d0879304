// SPDX-License-Identifier: Apache-2.0
// XXH3-64, the digest of everything that is stored or sent: finds damage, not forgery. Computed
// with the widest instructions that this CPU has.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace fmvm {

std::uint64_t digest_of(std::span<const std::uint8_t> bytes, std::uint64_t seed = 0);

// The same over bytes in pieces: the digest of their concatenation. Threads: one at a time.
class Digest {
  public:
    Digest();
    Digest(Digest&&) noexcept;
    Digest& operator=(Digest&&) noexcept;
    ~Digest();

    void add(std::span<const std::uint8_t> bytes);
    std::uint64_t value() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace fmvm

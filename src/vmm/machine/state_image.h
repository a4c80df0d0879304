// SPDX-License-Identifier: Apache-2.0
// The state of a machine beside its RAM, as named, versioned sections: what a checkpoint ships,
// what a snapshot stores. One section per component ("vcpu0", "irqchip", "disk0", ...).
//
// Encoded form, little-endian: "FMVMSTAT", format version (u32), number of sections (u32); then for
// each its name, version (u32) and payload, name and payload with a 32-bit length before them; at
// the end XXH3-64 of all that. decode() refuses anything else, and says what is wrong.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_codec.h"
#include "base/result.h"
#include "vmm/memory/page_set.h"

namespace fmvm {

struct StateSection {
    std::string name;
    std::uint32_t version = 0;
    std::vector<std::uint8_t> payload;
};

class StateImage {
  public:
    // Names are unique; a second section of one name is a bug.
    void add(std::string_view name, std::uint32_t version, std::vector<std::uint8_t> payload);
    // nullptr: there is none.
    const StateSection* find(std::string_view name) const;
    const std::vector<StateSection>& sections() const { return sections_; }
    // Takes a section out; one without a name: there was none.
    StateSection take(std::string_view name);

    std::vector<std::uint8_t> encode() const;
    static Result<StateImage> decode(std::span<const std::uint8_t> bytes);

    static constexpr std::uint32_t format_version = 1;
    static constexpr std::size_t sections_max = 256;
    static constexpr std::size_t name_bytes_max = 64;

  private:
    std::vector<StateSection> sections_;
};

// Something whose state is part of a machine's.
//
// save() is called while the machine stands. restore() is called on a component of a newly built
// machine that has never run, from the controlling thread; it reads all there is, takes nothing
// before all was checked, and its error says why (whose state it is, the machine knows).
class Snapshottable {
  public:
    virtual ~Snapshottable() = default;
    virtual std::uint32_t state_version() const = 0;
    virtual void save(ByteWriter& out) const = 0;
    virtual Result<void> restore(ByteReader& in) = 0;
    // Adds the pages that the kernel may be writing to on its behalf, although it stands (disk
    // reads in flight): what they hold is not settled.
    virtual void add_unsettled(PageSet&) const {}
};

}  // namespace fmvm

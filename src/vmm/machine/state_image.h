// SPDX-License-Identifier: Apache-2.0
// The state of a machine without its RAM, as named, versioned sections. Checkpoints ship it and
// snapshots store it. Each component has one section ("vcpu0", "chips", "disk0", ...).
//
// Encoded form, little-endian: "FMVMSTAT", format version (u32), number of sections (u32). For each
// section follow its name, its version (u32) and its payload; a 32-bit length precedes the name and
// the payload. XXH3-64 of everything stands at the end. decode() refuses anything else and says
// what is wrong.
#pragma once

#include <cstdint>
#include <functional>
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
    // Names are unique: a second section of the same name is a bug.
    void add(std::string_view name, std::uint32_t version, std::vector<std::uint8_t> payload);
    // Returns nullptr if there is no such section.
    const StateSection* find(std::string_view name) const;
    const std::vector<StateSection>& sections() const { return sections_; }
    // Takes a section out. The result has no name if there was no such section.
    StateSection take(std::string_view name);

    std::vector<std::uint8_t> encode() const;
    static Result<StateImage> decode(std::span<const std::uint8_t> bytes);

    static constexpr std::uint32_t format_version = 1;
    static constexpr std::size_t sections_max = 256;
    static constexpr std::size_t name_bytes_max = 64;

  private:
    std::vector<StateSection> sections_;
};

// A component whose state is part of a machine's.
//
// save() is called while the machine stands. decode() is called on the controlling thread, on a
// component of a newly built machine that has never run.
class Snapshottable {
  public:
    // Puts a decoded state in place. It cannot fail, so that a state that was checked is a state
    // that can be restored. It runs once at most, before the machine does.
    using Apply = std::function<void()>;

    virtual ~Snapshottable() = default;
    // What save() writes.
    virtual std::uint32_t state_version() const = 0;
    // The oldest that decode() reads.
    virtual std::uint32_t state_version_min() const { return state_version(); }
    virtual void save(ByteWriter& out) const = 0;
    // Decodes a saved state and checks all of it: anybody may have written it. Changes nothing. The
    // error says what is wrong; the machine adds whose state it is.
    virtual Result<Apply> decode(ByteReader& in) = 0;
    // Adds the pages that the kernel may write to for this component while the machine stands: the
    // targets of disk reads in flight. Their content is not settled.
    virtual void add_unsettled(PageSet&) const {}
};

}  // namespace fmvm

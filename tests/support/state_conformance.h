// SPDX-License-Identifier: Apache-2.0
// What every Snapshottable must do: one suite, called from a TEST_CASE of each.
#pragma once

#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "vmm/machine/state_image.h"

namespace fmvm::test {

// A newly built component with all that it needs around it.
class StateSubject {
  public:
    virtual ~StateSubject() = default;
    virtual Snapshottable& component() = 0;
    // Lets it work for a moment, as if its machine ran. It must not crash, whatever state it
    // accepted before.
    virtual void exercise() = 0;
};
using MakeSubject = std::function<std::unique_ptr<StateSubject>()>;

inline std::vector<std::uint8_t> saved_state(const Snapshottable& component) {
    ByteWriter out;
    component.save(out);
    return out.take();
}

// As the machine does it: what is left over is an error, too.
inline bool check_state(Snapshottable& component, std::span<const std::uint8_t> state) {
    ByteReader in(state);
    return component.decode(in).ok() && in.done();
}
inline bool restore_state(Snapshottable& component, std::span<const std::uint8_t> state) {
    ByteReader in(state);
    const Result<Snapshottable::Apply> apply = component.decode(in);
    if (!apply.ok() || !in.done()) return false;
    apply.value()();
    return true;
}

// `state`: of a component like those that `make` makes.
inline void check_state_conformance(const std::vector<std::uint8_t>& state,
                                    const MakeSubject& make) {
    {
        const auto subject = make();
        const auto before = saved_state(subject->component());
        REQUIRE(check_state(subject->component(), state));
        CHECK((saved_state(subject->component()) == before));  // nothing was taken
        REQUIRE(restore_state(subject->component(), state));
        CHECK((saved_state(subject->component()) == state));
        subject->exercise();
    }
    for (std::size_t size = 0; size < state.size(); ++size) {
        const auto subject = make();
        const auto before = saved_state(subject->component());
        INFO(size << " of " << state.size() << " bytes");
        CHECK_FALSE(restore_state(subject->component(), std::span(state).first(size)));
        CHECK((saved_state(subject->component()) == before));  // nothing was taken
        subject->exercise();
    }
    std::vector<std::uint8_t> longer = state;
    longer.push_back(0);
    CHECK_FALSE(restore_state(make()->component(), longer));
    for (std::size_t bit = 0; bit < state.size() * 8; ++bit) {
        std::vector<std::uint8_t> flipped = state;
        flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ 1U << bit % 8);
        const auto subject = make();
        INFO("bit " << bit);
        if (restore_state(subject->component(), flipped))
            CHECK((saved_state(subject->component()) == flipped));
        subject->exercise();
    }
}

}  // namespace fmvm::test

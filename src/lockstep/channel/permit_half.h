// SPDX-License-Identifier: Apache-2.0
// One side's half of the permit (docs/life.md), as its lifeline sees it: the primary notes when it
// sends a sign, and says for how long it wants the backup's silence; the backup promises that when
// it takes one.
//
// Threads: the lifeline's, for all calls; nothing here waits or allocates.
#pragma once

#include <cstdint>

#include "lockstep/channel/permit_terms.h"

namespace fmvm::lockstep {

class PermitHalf {
  public:
    virtual ~PermitHalf() = default;
    // Sign `number` of this side is about to be sent; `now` was read before. asks: the peer answers
    // it at once. Returns the promise that it asks for (Sign::promise).
    virtual std::chrono::microseconds sending(std::uint64_t number, bool asks, BootTime now) = 0;
    // A sign of the peer that asks for this promise has come; `now` was read after that. True: it
    // is to be echoed.
    virtual bool takes(std::chrono::microseconds promise, BootTime now) = 0;
    // The peer has echoed this side's sign `number`, the newest that it has taken.
    virtual void echoed(std::uint64_t number, BootTime now) = 0;
    // An eventfd that is signalled when a sign is wanted at once; -1: there is none.
    virtual int wanted() const = 0;
};

}  // namespace fmvm::lockstep

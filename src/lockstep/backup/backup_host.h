// SPDX-License-Identifier: Apache-2.0
// What the state machine of a backup needs of the world around it, so that the simulation can be
// that world.
//
// Threads: the replication thread. Calls come from within calls to Backup.
#pragma once

#include <chrono>
#include <span>
#include <string>

#include "lockstep/arbiter/generation.h"
#include "lockstep/backup/shadow.h"
#include "lockstep/channel/permit_terms.h"
#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

class BackupHost {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    virtual ~BackupHost() = default;
    virtual TimePoint now() = 0;

    // The machine that waits for a guest. Its RAM holds zeroes.
    struct Prepared {
        ShadowRam* ram;
        ShadowDisks* disks;  // this side's own disks, or null if it has none
    };
    // Builds the machine that waits for this primary's guest, or says why not. RAM and disks stay
    // until discard() or the end of take_over().
    virtual Result<Prepared> prepare(const HelloMessage& hello) = 0;
    // Whether a guest in this state could go on here. Asked before each epoch is acknowledged, so
    // it takes microseconds.
    virtual Result<void> check(std::span<const std::uint8_t> state) = 0;
    // The first epoch is committed: remembers durably whose backup this side is. Nothing of that
    // guest is acknowledged before.
    virtual Result<void> accept() = 0;
    // The machine is not needed: its primary is gone before the first commit, or goes on alone. Its
    // disks are at rest.
    virtual void discard() = 0;

    // Claims the generation; Backup::claimed() is called with the answer, later.
    virtual void claim(Generation generation) = 0;
    // Has the arbiter try a claim out; Backup::claim_tried() is called with the answer, later.
    virtual void try_claim() = 0;
    // The switchover that this side has asked for does not come about, for this reason.
    virtual void stays(const std::string& why) = 0;
    // The generation is won: takes the disks that the guest needs. False: not yet, because somebody
    // still holds them or they are still at work; asked again soon. Does not wait. An error is the
    // end of the guest.
    virtual Result<bool> take_disks(Generation generation) = 0;
    // The guest runs here from now on: restores its state, shows the tail of its output, lets it
    // go. speak_from: nothing that it emits leaves before. An error is the end of the guest.
    virtual Result<void> take_over(const Shadow& shadow, Generation generation,
                                   BootTime speak_from) = 0;

    // The guest has ended on the primary. The last call.
    virtual void guest_ended(const std::string& reason) = 0;
    // The guest could not be taken over. The last call.
    virtual void failed(const std::string& why) = 0;
};

}  // namespace fmvm::lockstep

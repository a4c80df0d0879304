// SPDX-License-Identifier: Apache-2.0
// Decides who may run a VM alone. The world is told by generations: each is won by exactly one
// side, once, for ever. A side that wants to run alone claims the one after the generation that it
// took part in; whoever comes second loses, and halts.
//
// Calls may block for as long as the medium does (a shared mount); they come from a thread that may
// wait. Any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "lockstep/arbiter/generation.h"

namespace fmvm::lockstep {

enum class Claim {
    won,   // this side alone may run now; durable
    lost,  // another side has won this generation
};

class Arbiter {
  public:
    virtual ~Arbiter() = default;

    // The newest generation that anybody has won; 0 when nobody ever has.
    virtual Result<Generation> newest() = 0;
    // Claims `generation`. An error means: not known; the caller must not run alone, and may ask
    // again (a claim that was won before, by the same side, is won again).
    virtual Result<Claim> claim(Generation generation) = 0;
    // Whether a claim could be made now: what it takes is tried out, and then taken away. An error
    // says what is in the way.
    virtual Result<void> could_claim() = 0;
    // False when somebody else has won a newer generation than `own`. A newer one of our own, of
    // which we may not have heard yet, is no reason to be silent. Cheap: asked before every output.
    virtual Result<bool> is_newest(Generation own) = 0;
    // The guest of `own` has ended in an orderly way: a new start is no second life.
    virtual Result<void> mark_ended(Generation own) = 0;
    // Whether the guest of `generation` has ended in an orderly way.
    virtual Result<bool> has_ended(Generation generation) = 0;
};

// Claims are files beside `path`: PATH.1, PATH.2, ..., each made by linking a finished, durable
// file into place, so that a claim is atomic and whole on local file systems and on NFS, and nobody
// ever waits for a lock of someone frozen. `vm` guards against a path that belongs to another VM,
// `side` names who claims, and no other process that may run this VM uses the same (both are
// written into the file). Claims are never removed while the VM lives: a chain with a link missing,
// like a directory that is gone or an empty mount point, is an error.
//
// A directory that others may write to (base/ownership.h) is refused.
//
// On NFS mount with lookupcache=positive: else the absence of a newer claim may be remembered for
// up to half a minute, and is_newest() would answer from that.
Result<std::unique_ptr<Arbiter>> create_file_arbiter(const std::string& path, const VmId& vm,
                                                     const std::string& side);

// The VM whose claims lie beside `path`; nothing when there are none yet. A VM keeps its identity
// from one start to the next by this.
Result<std::optional<VmId>> file_arbiter_owner(const std::string& path);

// Names of files that lie among the claims, and are nothing that fmvm writes there.
Result<std::vector<std::string>> file_arbiter_junk(const std::string& path);

// --arbiter none: every claim is won. A cut link can leave two running.
std::unique_ptr<Arbiter> create_no_arbiter();

}  // namespace fmvm::lockstep

// SPDX-License-Identifier: Apache-2.0
// A lifeline whose peer says what the test wants.
#pragma once

#include <memory>
#include <utility>

#include "lockstep/channel/lifeline.h"

namespace fmvm::test {

// The peer's end; it outlives the lifeline.
struct LifelinePeer {
    std::function<std::optional<lockstep::Lifeline::TimePoint>()> last_sign = [] {
        return std::nullopt;
    };
    std::function<lockstep::WorkDone()> work = [] { return lockstep::WorkDone{}; };  // as it says
    std::uint64_t told = 0;  // what this side's signs say
    bool closed = false;
};

class FakeLifeline : public lockstep::Lifeline {
  public:
    explicit FakeLifeline(std::shared_ptr<LifelinePeer> peer) : peer_(std::move(peer)) {}
    ~FakeLifeline() override { peer_->closed = true; }
    std::optional<TimePoint> last_sign() const override { return peer_->last_sign(); }
    lockstep::WorkDone peer_work() const override { return peer_->work(); }
    void handled(std::uint64_t bytes) override { peer_->told = bytes; }

  private:
    const std::shared_ptr<LifelinePeer> peer_;
};

}  // namespace fmvm::test

// SPDX-License-Identifier: Apache-2.0
// The primary's process: the real state machine and output gate around the toy guest, and what
// PrimaryService and the program do around them.
#pragma once

#include <list>
#include <optional>

#include "lockstep/output/console_gate.h"
#include "lockstep/primary/primary.h"
#include "lockstep/stats/epoch_stats.h"
#include "sim/console.h"
#include "sim/toy_source.h"
#include "sim/world.h"

namespace fmvm::sim {

class SimPrimary : public lockstep::PrimaryHost {
  public:
    explicit SimPrimary(World& world);

    Process& process() { return process_; }
    const Process& process() const { return process_; }
    Console& console() { return console_; }
    lockstep::Primary& machine() { return primary_; }
    lockstep::Primary::State state() const { return primary_.state(); }
    const std::optional<lockstep::PrimaryEnd>& end() const { return end_; }
    const ToyGuest& guest() const { return guest_; }
    bool guest_stands() const { return source_.guest_stands(); }
    bool runs() const { return process_.alive() && !end_; }
    void ask_to_switch_over();
    // By this its sentinel would say that it has died; nothing: to nobody.
    const std::optional<lockstep::JoinMessage>& sentinel() const { return sentinel_; }
    // The peer says this, if there is one, whether it is its turn or not.
    template <typename Message>
    void hears(const Message& message) {
        process_.post([this, body = message.encode()] {
            if (lockstep::has_link(primary_.state()))
                primary_.frame_received({Message::type, Buffer(body.begin(), body.end()), 0});
        });
    }
    // Compares memory. How it ended, once it has.
    void ask_to_verify();
    const std::optional<lockstep::VerifyOutcome>& comparison() const { return comparison_; }

    TimePoint now() override { return process_.now(); }
    void claim(lockstep::Generation generation) override;
    void try_claim() override;
    Result<std::unique_ptr<lockstep::Lifeline>> join(const std::string& backup,
                                                     const lockstep::JoinMessage& message,
                                                     lockstep::Lifeline::Terms terms) override;
    void welcomed(const lockstep::JoinMessage& sentinel) override { sentinel_ = sentinel; }
    void stays(const std::string& why) override;
    void generation_changed(lockstep::Generation generation) override { generation_ = generation; }
    void drain_output() override { console_.drain(); }
    void verified(const lockstep::VerifyOutcome& outcome) override { comparison_ = outcome; }
    void want_connection(TimePoint::duration after) override;
    void finished(lockstep::PrimaryEnd end, const std::string& why) override;

  private:
    static lockstep::PrimaryOptions options(const Settings& settings);
    void run_guest();
    void look_at_generation();
    void exit_when_written(unsigned tries);

    World& world_;
    Process process_;
    lockstep::Generation generation_ = 1;
    const std::shared_ptr<lockstep::PairPermit> pair_ = lockstep::PairPermit::create().value();
    Console console_;
    ToyRam ram_;
    lockstep::ConsoleGate gate_;
    ToyGuest guest_;
    ToySource source_;
    lockstep::EpochStats stats_;
    std::list<ForgetfulPrimary> forgetful_;  // of each session, if a clause is forgotten
    lockstep::Primary primary_;
    std::optional<lockstep::JoinMessage> sentinel_;
    std::optional<Timer> timer_;
    bool end_told_ = false;
    std::optional<lockstep::VerifyOutcome> comparison_;
    std::optional<lockstep::PrimaryEnd> end_;
};

}  // namespace fmvm::sim

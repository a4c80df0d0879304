// SPDX-License-Identifier: Apache-2.0
// The primary's side of the protocol as a state machine: no sockets, threads or clocks of its own,
// so that the simulation runs the very same code.
//
//     alone --connected--> greeting --welcome--> copying --first cut--> following
//     following --peer lost--> deciding --claim won--> alone | --claim lost--> finished
//     following --switch over--> (last epoch acknowledged) handing_over --switched--> finished
//     handing_over --peer lost, or too slow--> deciding
//     any --guest ended--> (last epoch acknowledged, if there is a backup) --> finished
//
// Before the first commit was sent there is nothing a backup could take over, so losing it leaves
// the guest running without any decision. After that, this side runs on alone only when it has won
// the next generation.
//
// Threads: the replication thread. Every event may change deadline(); the driver looks at it after
// each call.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "lockstep/arbiter/arbiter.h"
#include "lockstep/channel/channel.h"
#include "lockstep/channel/failure_detector.h"
#include "lockstep/checkpoint/checkpoint_source.h"
#include "lockstep/primary/epoch_policy.h"
#include "lockstep/primary/reconnect_delay.h"
#include "lockstep/primary/verification.h"
#include "lockstep/stats/epoch_stats.h"
#include "lockstep/wire/messages.h"

namespace fmvm::lockstep {

enum class OnBackupLost { continue_alone, stop };

struct PrimaryOptions {
    VmId vm{};
    Generation generation = 0;  // won before the guest started
    MachineShape shape;
    BlockMode block = BlockMode::none;
    bool durable = false;  // an epoch is acknowledged when the backup's disks hold it for good
    std::chrono::milliseconds heartbeat{20};
    std::chrono::milliseconds lost_after{200};
    EpochPolicyOptions policy;
    OnBackupLost on_backup_lost = OnBackupLost::continue_alone;
};

enum class PrimaryEnd {
    guest_ended,  // and the backup knows
    handed_over,  // switchover: the guest runs there
    superseded,   // another side has won a newer generation: halted before anything was emitted
    backup_lost,  // on_backup_lost = stop
    failed,       // capturing the machine failed
};

// What the state machine needs of the world around it. Calls come from within its own calls.
class PrimaryHost {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    virtual ~PrimaryHost() = default;
    virtual TimePoint now() = 0;
    // Answered later by Primary::claimed().
    virtual void claim(Generation generation) = 0;
    // This side runs under a new generation from now on.
    virtual void generation_changed(Generation generation) = 0;
    // Writes out what console output was released, waiting a short while; the guest stands.
    virtual void drain_output() = 0;
    // How far the initial copy is, for people.
    virtual void copying(const std::string&) {}
    // How far a comparison is, for people; and how it ended.
    virtual void verifying(const replay::ScrubProgress&) {}
    virtual void verified(const VerifyOutcome&) {}
    // The backup is gone or was refused: try to get a connection, after this time.
    virtual void want_connection(TimePoint::duration after) = 0;
    // The guest must not run any more here. Once, and the last call.
    virtual void finished(PrimaryEnd end, const std::string& why) = 0;
};

class Primary : public ChannelUser {
  public:
    using TimePoint = PrimaryHost::TimePoint;
    enum class State { alone, greeting, copying, following, handing_over, deciding, finished };

    // Source, gate, stats and host outlive this.
    Primary(PrimaryOptions options, CheckpointSource& source, ConsoleGate& gate, EpochStats& stats,
            PrimaryHost& host);
    ~Primary() override;

    State state() const { return state_; }
    Generation generation() const { return options_.generation; }

    // A connection to somebody who may be a backup.
    void connected(std::unique_ptr<Channel> channel);
    // Moves the guest to the backup on purpose. False: there is none that follows.
    bool switch_over();
    // Compares the two sides; PrimaryHost::verified() is the answer, unless this is an error.
    Result<void> verify(const VerifyOptions& options);
    void stop_verifying();
    // The guest has ended by itself or by the operator's will; its last output still counts.
    void guest_ended(const std::string& reason);
    // The arbiter knows a newer generation of another side.
    void superseded();
    void claimed(Result<Claim> claim);
    // Output began to wait in the gate.
    void output_waiting() { pump(); }
    // At deadline() or later.
    void tick();
    TimePoint deadline() const;

    void frame_received(Frame frame) override;
    void channel_drained() override { pump(); }
    void channel_lost(const std::string& reason) override;

  private:
    enum class Ending { none, switch_over, guest_end };
    struct Sent {  // an epoch that waits for its acknowledgement
        EpochId epoch = 0;
        std::uint64_t output_end = 0;
        TimePoint cut_began;
        EpochRecord record;
    };

    void pump();
    bool step();
    bool copy_step();
    bool follow_step();
    bool may_verify() const;
    bool verify_step();
    void look_at_verification();
    void end_verification(VerifyOutcome outcome);
    bool may_cut() const;
    bool cut_due();
    bool may_settle() const;
    bool is_settling();
    std::optional<TimePoint> waiting_since() const;
    void cut();
    void source_failed(const std::string& reason);
    void send_rest_of_checkpoint();
    void send_state();
    void send_output();
    void send_digests();
    void send(FrameType type, GatheredBody body);
    void send(OutgoingMessage piece) { send(piece.type, std::move(piece.body)); }
    template <typename Message>
    void send(const Message& message) {
        send(Message::type, message.encode());
    }
    Result<void> handle(const Frame& frame);
    Result<void> handle_welcome(const Frame& frame);
    Result<void> handle_ack(const Frame& frame);
    Result<void> handle_switched(const Frame& frame);
    void last_epoch_acknowledged();
    void drop_channel(const std::string& reason);
    void peer_lost(const std::string& reason);
    void decide();
    void go_alone();
    void run_alone();
    void look_for_backup();
    void finish(PrimaryEnd end, const std::string& why);

    PrimaryOptions options_;
    CheckpointSource& source_;
    ConsoleGate& gate_;
    EpochStats& stats_;
    PrimaryHost& host_;
    EpochPolicy policy_;

    State state_ = State::alone;
    std::unique_ptr<Channel> channel_;
    std::optional<FailureDetector> detector_;  // there is one while there is a channel
    std::string peer_;
    std::optional<TimePoint> in_step_since_;  // the first acknowledgement of this connection
    bool unfit_ = false;  // the backup has said on this connection that it cannot be one
    ReconnectDelay reconnect_delay_;

    bool commit_sent_ = false;  // on this connection: from then on the backup could take over
    EpochId epoch_ = 0;         // the last one cut on this connection
    bool packing_ = false;      // its pages are still being sent
    std::uint64_t digest_ = 0;  // of its bodies so far
    std::uint64_t bytes_ = 0;
    TimePoint cut_began_{};
    TimePoint::duration interval_{};        // since the cut before
    std::vector<std::uint8_t> state_sent_;  // what the backup has, for the next difference
    std::deque<Sent> sent_;
    bool more_work_ = false;  // pump() stopped to let others have their turn

    std::optional<Verification> verification_;

    Ending ending_ = Ending::none;
    bool last_cut_ = false;  // the last epoch was cut
    // The guest has ended: its disks may still be at work, until then at most.
    TimePoint settle_until_{};
    TimePoint settle_look_{};  // when they are looked at again
    TimePoint handing_over_since_{};
    std::optional<TimePoint> copy_look_;  // while the initial copy has nothing to send
    std::string end_reason_;
    std::optional<TimePoint> claim_again_;
    std::string lost_reason_;
    std::string told_reason_;  // why there was no backup, as it was told last
};

}  // namespace fmvm::lockstep

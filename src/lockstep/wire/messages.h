// SPDX-License-Identifier: Apache-2.0
// The messages between primary and backup and their bodies (docs/protocol.md). encode() makes a
// body. decode() checks all of it: a body that is too short, too long or out of range yields an
// error, never a partly filled message.
//
// Each message lists its fields once, in messages.cpp. Pages travel as records inside a `pages`
// body (page_codec.h), block records inside a `block_log` body (block_log_codec.h).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "lockstep/arbiter/generation.h"
#include "lockstep/wire/frame_codec.h"
#include "replay/image/disk_label.h"
#include "vmm/machine/machine_shape.h"

namespace fmvm::lockstep {

// Counts the cuts of one connection; the first checkpoint of a connection is epoch 1.
using EpochId = std::uint64_t;

using Body = std::vector<std::uint8_t>;

// How the contents of a protected guest's disks get to the other side. Both sides are told the
// same.
enum class BlockMode : std::uint8_t {
    none = 0,    // there are no disks
    shared = 1,  // both sides use the same image
    replay = 2,  // each has its own; requests are replayed, payloads by reference where possible
    copy = 3,    // each has its own; every write's payload travels (Kemari without shared storage)
};
constexpr bool has_own_disks(BlockMode mode) {
    return mode == BlockMode::replay || mode == BlockMode::copy;
}
// For messages.
const char* name_of(BlockMode mode);

struct HelloMessage {
    VmId vm{};
    Generation generation = 0;
    MachineShape shape;
    std::uint32_t heartbeat_ms = 0;
    std::uint32_t lost_after_ms = 0;
    std::uint32_t interval_ms = 0;  // the longest time between two cuts
    BlockMode block = BlockMode::none;
    bool durable = false;  // an epoch is acknowledged once it is on the disks' stable storage
    // What each of the disks descends from, by its label; empty unless each side has its own.
    std::vector<replay::LabelId> origins;
    replay::LabelId origin_of(std::size_t disk) const {
        return disk < origins.size() ? origins[disk] : replay::LabelId{};
    }

    static constexpr FrameType type = FrameType::hello;
    Body encode() const;
    static Result<HelloMessage> decode(std::span<const std::uint8_t> body);
};

// Names one channel: 16 random bytes that the backup draws for it. Whoever joins it with another
// connection knows them from the welcome.
using SessionId = std::array<std::uint8_t, 16>;

struct WelcomeMessage {
    SessionId session{};
    static constexpr FrameType type = FrameType::welcome;
    Body encode() const;
    static Result<WelcomeMessage> decode(std::span<const std::uint8_t> body);
};

struct RefuseMessage {
    std::string reason;  // one sentence
    static constexpr FrameType type = FrameType::refuse;
    Body encode() const;
    static Result<RefuseMessage> decode(std::span<const std::uint8_t> body);
};

enum class StateEncoding : std::uint8_t { whole = 0, delta = 1 };

struct StateMessage {
    EpochId epoch = 0;
    StateEncoding encoding = StateEncoding::whole;
    // whole: the encoded state image; delta: against the image of the epoch before (delta.h).
    std::vector<std::uint8_t> image;
    static constexpr FrameType type = FrameType::state;
    Body encode() const;
    static Result<StateMessage> decode(std::span<const std::uint8_t> body);
};

struct OutputMessage {
    EpochId epoch = 0;
    std::uint64_t position = 0;  // of the first byte, in all console output of this guest
    std::vector<std::uint8_t> bytes;
    static constexpr FrameType type = FrameType::output;
    Body encode() const;
    static Result<OutputMessage> decode(std::span<const std::uint8_t> body);
};

struct CommitMessage {
    EpochId epoch = 0;
    std::uint64_t page_records = 0;  // sent for this epoch
    std::uint64_t digest = 0;        // over the digests of the epoch's bodies, in order
    std::uint64_t output_end = 0;    // position behind the epoch's last console byte
    std::uint64_t output_shown = 0;  // every byte before it has left the primary
    static constexpr FrameType type = FrameType::commit;
    Body encode() const;
    static Result<CommitMessage> decode(std::span<const std::uint8_t> body);
};

struct AckMessage {
    EpochId epoch = 0;
    static constexpr FrameType type = FrameType::ack;
    Body encode() const;
    static Result<AckMessage> decode(std::span<const std::uint8_t> body);
};

struct HeartbeatMessage {
    // As in CommitMessage. Zero, except in the heartbeat before a switch-over.
    std::uint64_t output_shown = 0;
    static constexpr FrameType type = FrameType::heartbeat;
    Body encode() const;
    static Result<HeartbeatMessage> decode(std::span<const std::uint8_t> body);
};

// True for a heartbeat that says only that the peer lives: no user needs to be woken for it.
bool is_sign_of_life(const Frame& frame);

// Verify mode: the XXH3-64 digest of each page from `first_page` on, as the page was at the cut of
// this epoch, or not_compared. Behind the last page stands the digest of the state image.
struct DigestsMessage {
    EpochId epoch = 0;
    std::uint64_t first_page = 0;
    std::vector<std::uint64_t> digests;
    static constexpr std::size_t digests_max = 65536;
    static constexpr std::uint64_t not_compared = 0;
    static constexpr FrameType type = FrameType::digests;
    Body encode() const;
    static Result<DigestsMessage> decode(std::span<const std::uint8_t> body);
};

struct SwitchOverMessage {
    EpochId epoch = 0;  // the last one
    static constexpr FrameType type = FrameType::switch_over;
    Body encode() const;
    static Result<SwitchOverMessage> decode(std::span<const std::uint8_t> body);
};

struct SwitchedMessage {
    Generation generation = 0;  // the backup's own, from now on
    static constexpr FrameType type = FrameType::switched;
    Body encode() const;
    static Result<SwitchedMessage> decode(std::span<const std::uint8_t> body);
};

struct EndedMessage {
    std::string reason;  // "the guest powered off", ...
    static constexpr FrameType type = FrameType::ended;
    Body encode() const;
    static Result<EndedMessage> decode(std::span<const std::uint8_t> body);
};

// Before it claims a generation, a side that starts asks its peer whether it runs the guest.
struct AskGuestMessage {
    static constexpr FrameType type = FrameType::ask_guest;
    Body encode() const;
    static Result<AskGuestMessage> decode(std::span<const std::uint8_t> body);
};

// Where the guest runs that a backup knows of.
enum class GuestPlace : std::uint8_t {
    nowhere = 0,  // it waits for a primary, or its guest has ended
    here = 1,     // on the backup's side, or it is about to
    followed = 2  // on a primary, whom the backup follows
};

struct KnownGuestMessage {
    GuestPlace place = GuestPlace::nowhere;
    VmId vm{};
    Generation generation = 0;
    static constexpr FrameType type = FrameType::known_guest;
    Body encode() const;
    static Result<KnownGuestMessage> decode(std::span<const std::uint8_t> body);
};

// The backup has found that it is not equal to the primary: it does not take over.
struct UnfitMessage {
    std::string reason;  // one sentence
    static constexpr FrameType type = FrameType::unfit;
    Body encode() const;
    static Result<UnfitMessage> decode(std::span<const std::uint8_t> body);
};

// Before the guest stands for a switchover.
struct TryClaimMessage {
    static constexpr FrameType type = FrameType::try_claim;
    Body encode() const;
    static Result<TryClaimMessage> decode(std::span<const std::uint8_t> body);
};

// Whether the backup could claim the next generation now.
struct ClaimTriedMessage {
    std::string why_not;  // one sentence; empty if it could
    static constexpr FrameType type = FrameType::claim_tried;
    Body encode() const;
    static Result<ClaimTriedMessage> decode(std::span<const std::uint8_t> body);
};

// The guest is not moved to the backup after all.
struct StaysMessage {
    std::string reason;  // one sentence
    static constexpr FrameType type = FrameType::stays;
    Body encode() const;
    static Result<StaysMessage> decode(std::span<const std::uint8_t> body);
};

// What a connection is for that is no channel, and belongs to one (docs/life.md).
enum class JoinKind : std::uint8_t {
    lifeline = 0,  // signs of life and promises
    sentinel = 1,  // the word that the primary is dead
};
// For messages.
const char* name_of(JoinKind kind);

// The first frame of such a connection. The answer is `joined` or a refusal; until it has come,
// nothing else is sent.
struct JoinMessage {
    JoinKind kind = JoinKind::lifeline;
    VmId vm{};
    Generation generation = 0;
    SessionId session{};
    static constexpr FrameType type = FrameType::join;
    static constexpr std::size_t body_bytes = 41;
    Body encode() const;
    static Result<JoinMessage> decode(std::span<const std::uint8_t> body);
};

struct JoinedMessage {
    static constexpr FrameType type = FrameType::joined;
    Body encode() const;
    static Result<JoinedMessage> decode(std::span<const std::uint8_t> body);
};

inline constexpr std::size_t reason_bytes_max = 1024;
inline constexpr std::size_t output_bytes_max = 256 * kib;  // of one output frame

}  // namespace fmvm::lockstep

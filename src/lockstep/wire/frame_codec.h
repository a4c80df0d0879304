// SPDX-License-Identifier: Apache-2.0
// Frames: what travels between primary and backup, without sockets. docs/protocol.md is the
// specification.
//
// A frame is a 40-byte header and a body:
//
//     0  u32  magic "FMVL"
//     4  u16  protocol version
//     6  u16  type (0 is invalid; a receiver skips an unknown type that has bit 15 set)
//     8  u32  body length, at most frame_body_max
//    12  u32  zero
//    16  u64  sequence number, counting from 0 in each direction
//    24  u64  XXH3-64 of the body
//    32  u64  XXH3-64 of the 32 header bytes before
//
// Threads: one at a time.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "base/buffer.h"
#include "base/result.h"
#include "base/units.h"

namespace fmvm::lockstep {

inline constexpr std::uint16_t protocol_version = 3;
inline constexpr std::uint16_t optional_frame_bit = 0x8000;
inline constexpr std::size_t frame_header_size = 40;
// Room for the largest state image: 64 vCPUs and 15 disks with all requests in flight (12 MiB).
inline constexpr std::size_t frame_body_max = 16 * mib;

enum class FrameType : std::uint16_t {
    invalid = 0,
    hello = 1,             // primary: who I am, what the machine is like
    welcome = 2,           // backup: I am ready for it
    refuse = 3,            // either: I will not go on with you, and why; then the connection ends
    pages = 4,             // primary: pages of the epoch under way
    state = 5,             // primary: the state image of the epoch under way
    output = 6,            // primary: console bytes that the epoch under way emitted
    commit = 7,            // primary: the epoch is complete
    ack = 8,               // backup: the epoch is committed here
    heartbeat = 9,         // either
    digests = 10,          // primary: digests of a piece of RAM at the cut (verify mode)
    switch_over = 11,      // primary: the last epoch was the last; take over
    switched = 12,         // backup: the generation is mine, and the guest
    ended = 13,            // primary: the guest has ended; do not take over
    ask_switch_over = 14,  // backup: its operator wants the guest to move here
    block_log = 15,        // primary: block records of the epoch under way
    disk_known = 16,       // backup: what it knows of one of its disks
    disk_begin = 17,       // primary: what of the disk may differ
    disk_ready = 18,       // backup: its label says so
    disk_digests = 19,     // primary: digests of some of those blocks
    disk_wanted = 20,      // backup: which of them differ
    disk_blocks = 21,      // primary: those blocks
    disk_done = 22,        // backup: they are equal now
    disk_check = 23,       // primary: digests of blocks as they were at the last cut
    disk_checked = 24,     // backup: its own are the same
    unfit = 25,            // backup: I am not equal any more, and why; a refusal follows
    // A peer that does not know these skips them.
    try_claim = 26 | optional_frame_bit,    // primary: could you claim? before the guest stands
    claim_tried = 27 | optional_frame_bit,  // backup: whether it could, or why not
    stays = 28 | optional_frame_bit,        // primary: the guest stays here, and why
    ask_stay = 34 | optional_frame_bit,     // backup: its operator has given that wish up
    packet = 35 | optional_frame_bit,       // primary: what a network card took from outside
    ask_guest = 29,                         // a side that starts: do you run a guest?
    known_guest = 30,                       // backup: which guest I know of, and where it runs
    join = 31,                              // begins a connection beside a channel: which, what for
    joined = 32,                            // backup: it belongs to that channel
    disk_serial = 33,                       // either: so often did regions of a disk become active
};

// As docs/protocol.md names it; "unknown" for a type that this side does not know.
const char* name_of(FrameType type);

// A receiver that does not know the type skips such a frame.
constexpr bool is_optional(FrameType type) {
    return (static_cast<std::uint16_t>(type) & optional_frame_bit) != 0;
}

struct Frame {
    FrameType type = FrameType::invalid;
    Buffer body;
    std::uint64_t digest = 0;  // XXH3-64 of the body
};

// The digest of a sequence of bodies, from the digest of those before and that of the next one.
std::uint64_t chain_digest(std::uint64_t before, std::uint64_t body_digest);

using FrameHeader = std::array<std::uint8_t, frame_header_size>;

FrameHeader make_frame_header(FrameType type, std::uint64_t sequence,
                              std::span<const std::uint8_t> body);
// For a caller that already has the body's size and digest.
FrameHeader make_frame_header(FrameType type, std::uint64_t sequence, std::size_t body_size,
                              std::uint64_t digest_of_body);

// What a header says that it is; invalid: it is none of ours. Nothing else of it is checked.
FrameType type_in(const FrameHeader& header);

// Cuts a byte stream into frames. The header is checked before the body is allocated. After an
// error the connection is of no more use, and the decoder must not be called again.
class FrameDecoder {
  public:
    // How many bytes the header or body under way still needs. Never 0.
    std::size_t wanted() const { return target_size() - filled_; }
    // Where to put them.
    std::span<std::uint8_t> space();
    // `count` bytes were put there. Returns a frame when one is complete.
    Result<std::optional<Frame>> received(std::size_t count);
    // The same for bytes that lie elsewhere. Takes what is wanted from the front of `bytes`.
    Result<std::optional<Frame>> feed(std::span<const std::uint8_t>& bytes);

  private:
    std::size_t target_size() const { return in_body_ ? body_.size() : header_.size(); }
    Result<void> begin_body();
    Result<std::optional<Frame>> finish_frame();

    FrameHeader header_{};
    Buffer body_;
    std::size_t filled_ = 0;
    bool in_body_ = false;
    FrameType type_ = FrameType::invalid;  // of the body under way
    std::uint64_t body_digest_ = 0;
    std::uint64_t next_sequence_ = 0;
};

}  // namespace fmvm::lockstep

// SPDX-License-Identifier: Apache-2.0
// How far the two sides of a pair have come under it, as one of them knows: so that an image which
// was put back (a copy of image and label from some time ago) is not taken for the one that it was.
// docs/resync.md has the argument.
//
// Steps: what lets the other side clear marks of its map. The primary makes one with each message
// about a chunk and with each cut, the backup with each chunk that is done and each
// acknowledgement. A side counts its own step when what the step says is fixed (read, cut, marked)
// and before the other can hear of it; and one of the other's before it clears anything because of
// it. They change in place like the bits: they survive the process, and not always the host.
//
// Serial: how many times a region of this side's image became active. Durable before the region is,
// and told before the next step. The other side's is durable here before a region becomes inactive.
//
// All of it counts from 0 when the label gets the pair, and only in the process that gave it: what
// a side does before it meets the other again must not make up for what it has lost.
#pragma once

#include <cstdint>
#include <span>

#include "replay/image/disk_label.h"

namespace fmvm::replay {

struct PairProgress {
    std::uint64_t serial = 0;       // of this side's image
    std::uint64_t peer_serial = 0;  // of the other's, as this side heard it last
    std::uint64_t sent = 0;         // this side's steps
    std::uint64_t heard = 0;        // the other's

    bool operator==(const PairProgress&) const = default;
    // In place of `sent`, when it is not known: more than the other can have heard.
    static constexpr std::uint64_t lost = UINT64_MAX;
};

// That of one label, in the words of its file's last page.
//
// Threads: one at a time.
class ProgressPage {
  public:
    static constexpr std::size_t word_count = 5;
    ProgressPage() = default;
    explicit ProgressPage(std::span<std::uint64_t> words) : words_(words) {}

    // Under this pair; nothing was done yet if the page speaks of another.
    PairProgress under(const LabelId& pair) const;
    // The label names this pair from now on.
    void begin(const LabelId& pair);
    // The host was started again: how many steps this side made under this pair is not known.
    void lose_steps(const LabelId& pair);

    std::uint64_t serial() const { return words_[serial_at]; }
    void advance_serial() { ++words_[serial_at]; }
    void hear_serial(std::uint64_t serial) { words_[peer_serial_at] = serial; }
    void count_sent() { ++words_[sent_at]; }
    void count_heard() { ++words_[heard_at]; }

  private:
    enum At : std::size_t { pair_at, serial_at, peer_serial_at, sent_at, heard_at };
    std::span<std::uint64_t> words_;
};

}  // namespace fmvm::replay

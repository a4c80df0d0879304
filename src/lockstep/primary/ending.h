// SPDX-License-Identifier: Apache-2.0
// How a protected guest's run here comes to an orderly end: its operator moves it to the backup, or
// it has ended by itself. Both ways lead to a last cut, after which the guest stands.
//
// A guest that has ended may have left requests to its disks. The last cut waits for them, within a
// limit, so that the disks of both sides are the same.
//
// Pure: time comes in as arguments.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace fmvm::lockstep {

class Ending {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    enum class Kind { none, switch_over, guest_end };
    static constexpr std::chrono::seconds disks_wait_max{2};

    Kind kind() const { return kind_; }
    bool begun() const { return kind_ != Kind::none; }
    // Not while another end is under way.
    void begin_switch_over();
    // The guest stays here, and runs on. Not once it has ended.
    void give_up_switch_over();
    // The guest has ended, for this reason (one sentence). That goes before a switchover, unless
    // its last cut is made: that guest is the backup's, which carries on what it had in flight.
    void guest_ended(const std::string& reason, TimePoint now);

    // The guest's disks may still be at work, and the last cut waits for them.
    bool waits_for_disks(TimePoint now) const {
        return kind_ == Kind::guest_end && !last_cut_made_ && now < disks_wait_until_;
    }
    // A cut is being made. disks_idle: the guest's disks have nothing left to do. True: it is the
    // last cut.
    bool make_cut(bool disks_idle, TimePoint now);
    bool last_cut_made() const { return last_cut_made_; }

    // The backup may run the guest from the last cut on, because it was asked to.
    bool hands_over() const { return kind_ == Kind::switch_over && last_cut_made_; }
    // Why the guest cannot run on here, if it cannot.
    const std::optional<std::string>& guest_end_reason() const { return guest_end_reason_; }

  private:
    Kind kind_ = Kind::none;
    bool last_cut_made_ = false;
    TimePoint disks_wait_until_{};
    std::optional<std::string> guest_end_reason_;
};

}  // namespace fmvm::lockstep

// SPDX-License-Identifier: Apache-2.0
// Something that is not as it should be, and lasts: a peer that is not there, an arbiter that does
// not answer, strangers who are refused. Decides when people are told of it, so that nothing that
// lasts is silent, and nothing fills the log:
//
//     it begins           told when it has lasted for `patience`
//     it goes on          told again after 1, 10 and 60 minutes, and every 60 minutes from then on
//     for another reason  told at once, each reason once between two of those moments
//     it is over          told, with how long it lasted, if its beginning was
//
// What comes and goes is one trouble: when it was told and is back within `quiet`, those moments
// stay where they are. Between two of them no more than `tellings_max` beginnings and reasons are
// told. What is told is always the newest reason.
//
// Pure: time comes in as arguments. Threads: none; a trouble belongs to whoever drives it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace fmvm {

class Trouble {
  public:
    using TimePoint = std::chrono::steady_clock::time_point;
    using Duration = std::chrono::steady_clock::duration;
    static constexpr std::chrono::minutes quiet{1};
    static constexpr std::size_t tellings_max = 5;

    explicit Trouble(Duration patience = Duration::zero()) : patience_(patience) {}

    // It is so, for this reason: asked as often as it is seen. The result is what people are to be
    // told now: the reason, and how long ago it was first seen if they are told again.
    std::optional<std::string> is(std::string reason, TimePoint now);
    // The same, for the reason that it had last. Nothing while there is no trouble.
    std::optional<std::string> look(TimePoint now);
    // When look() has something to tell although nothing new has happened; max(): never.
    TimePoint due() const;
    // It is over. The result is how long it lasted, if people are to be told.
    std::optional<std::string> over(TimePoint now);

    bool lasts() const { return lasts_; }

  private:
    void begin(TimePoint now);
    bool may_tell() const;
    std::optional<std::string> tell(std::string text);

    Duration patience_;
    bool lasts_ = false;
    bool told_ = false;  // people know that it lasts
    TimePoint since_{};  // when it began, if it lasts
    TimePoint ended_ = TimePoint::min();
    std::string reason_;
    // Shared by all that is one trouble:
    TimePoint first_since_{};
    TimePoint repeat_at_{};
    // Since the last repetition:
    std::size_t tellings_ = 0;
    std::vector<std::string> reasons_told_;
};

// "0.4 s", "12 s", "3 min", "5 h": for people.
std::string rough_words(Trouble::Duration duration);

}  // namespace fmvm

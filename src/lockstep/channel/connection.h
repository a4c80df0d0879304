// SPDX-License-Identifier: Apache-2.0
// The network thread's end of a channel: a stream with a reader, a writer and signs of life.
//
//     state            event                                             next state
//     open             a write fails                                     receiving_only
//                      the user closes the channel while it writes       closing
//                      the user closes it otherwise, or reading fails    shut
//     receiving_only   the user closes it, or reading fails              shut
//     closing          all is written, writing or reading fails, or
//                      linger_max is over                                shut
//
// A peer that takes nothing any more may still have said why it goes. So after a write has failed,
// the stream is read to its end before the user is told of the loss.
//
// A connection lives until it is shut and its last operation has ended: each operation keeps it.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/channel/channel_threads.h"
#include "lockstep/channel/frame_reader.h"
#include "lockstep/channel/frame_writer.h"
#include "lockstep/channel/hang_watchdog.h"
#include "lockstep/channel/network_priority.h"
#include "lockstep/channel/signs_of_life.h"
#include "lockstep/channel/unread_limit.h"

namespace fmvm::lockstep {

// What the user of a channel is told, on its thread (ChannelUser). None of it uses a user that is
// gone.
struct UserCalls {
    std::function<void(Frame)> frame_received;
    std::function<void()> drained;
    std::function<void(const std::string& reason)> lost;
};

class Connection : public std::enable_shared_from_this<Connection> {
  public:
    // Its stream is in the network thread's loop.
    Connection(Transport transport, const ChannelThreads& threads);

    // Any thread.
    std::size_t queued_bytes() const { return writer_.queued_bytes(); }
    std::chrono::steady_clock::time_point last_heard() const { return heard_at_; }
    std::uint64_t moved_bytes() const { return received_bytes_ + writer_.written_bytes(); }

    // Any thread, from which it goes over to the network thread, in order.
    void start(UserCalls user);                  // once: reading begins
    void send(std::vector<UnsentFrame> frames);  // all of them with one wake-up
    void keep_alive(const Heartbeat& heartbeat);
    void close();  // sends what waits, for a short while

  private:
    using TimePoint = std::chrono::steady_clock::time_point;
    enum class State { open, receiving_only, closing, shut };

    // Runs task(*this) on the network thread.
    template <typename Task>
    void post(Task task);
    void enter(State state);
    void receive();
    void received(Result<FrameReader::Received> received);
    void deliver(Frame frame);
    void frame_read(std::size_t cost);
    void write();
    void written(FrameWriter::Outcome outcome);
    void send_sign_of_life(TimePoint now);
    void begin_to_close();
    void lose(const std::string& reason);
    void shut();

    Stream stream_;
    boost::asio::io_context& user_loop_;
    UserCalls user_;  // set by start()
    State state_ = State::open;
    std::atomic<TimePoint> heard_at_{std::chrono::steady_clock::now()};
    std::atomic<std::uint64_t> received_bytes_{0};
    FrameReader reader_;
    UnreadLimit unread_;
    FrameWriter writer_;
    HangWatchdog watchdog_;
    NetworkPriority priority_;
    SignsOfLife signs_;
    boost::asio::steady_timer linger_;
};

}  // namespace fmvm::lockstep

// SPDX-License-Identifier: Apache-2.0
// Charges this process's sentinel with telling the backup that is in step, and tells in the log how
// that stands.
//
// Threads: the replication thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>

#include "base/trouble.h"
#include "lockstep/sentinel/sentinel.h"

namespace fmvm::lockstep {

class SentinelCharge {
  public:
    // The sentinel outlives this; null: there is none, and nothing happens here.
    SentinelCharge(boost::asio::io_context& loop, Sentinel* sentinel);
    ~SentinelCharge();

    // From now on this is said when this process dies.
    void begin(const LastWord& word);
    // Nothing is said any more.
    void end();

  private:
    struct Descriptor;  // keeps Asio's header out of this one
    void wait();
    void take_reports();
    void take(const SentinelReport& report);
    void look_at_it();
    void gone();

    Sentinel* sentinel_;
    bool begun_ = false;
    Trouble not_heard_;
    std::unique_ptr<Descriptor> descriptor_;
};

}  // namespace fmvm::lockstep

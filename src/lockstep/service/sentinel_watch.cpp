// SPDX-License-Identifier: Apache-2.0
#include "lockstep/service/sentinel_watch.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "base/log.h"

namespace fmvm::lockstep {

SentinelWatch::SentinelWatch(boost::asio::io_context& loop, Transport connection,
                             const SessionId& session, std::function<void()> died)
    : session_(session),
      died_(std::move(died)),
      stream_(loop.get_executor(), std::move(connection)) {
    // It may have said something already, which no socket tells of any more.
    boost::asio::post(loop, tasks_.bind([this] { hear(); }));
}

void SentinelWatch::hear() {
    while (filled_ != word_.size()) {
        const Moved moved = stream_.transport().read(std::span(word_).subspan(filled_));
        if (moved.is_lost()) return;
        if (moved.needs != Needs::nothing)
            return stream_.wait(moved.needs, tasks_.bind([this] { hear(); }));
        filled_ += moved.bytes;
    }
    heard();
}

void SentinelWatch::heard() {
    if (word_ != session_) {
        log::warning("backup", "the primary's sentinel says something that means nothing");
        return;
    }
    const std::function<void()> died = died_;  // this may be gone before it returns
    died();
}

}  // namespace fmvm::lockstep

// SPDX-License-Identifier: Apache-2.0
#include "lockstep/service/sentinel_watch.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read.hpp>
#include <utility>

#include "base/log.h"
#include "vmm/loop/task_scope.h"

namespace fmvm::lockstep {

struct SentinelWatch::Connection {
    Connection(boost::asio::io_context& loop, UniqueFd fd) : stream(loop, fd.release()) {}
    boost::asio::posix::stream_descriptor stream;
    TaskScope tasks;  // last: its tasks use the rest
};

SentinelWatch::SentinelWatch(boost::asio::io_context& loop, UniqueFd connection,
                             const SessionId& session, std::function<void()> died)
    : session_(session),
      died_(std::move(died)),
      connection_(std::make_unique<Connection>(loop, std::move(connection))) {
    boost::asio::async_read(
        connection_->stream, boost::asio::buffer(word_),
        connection_->tasks.bind([this](const boost::system::error_code& error, std::size_t) {
            if (!error) heard();
        }));
}

SentinelWatch::~SentinelWatch() = default;

void SentinelWatch::heard() {
    if (word_ != session_) {
        log::warning("backup", "the primary's sentinel says something that means nothing");
        return;
    }
    const std::function<void()> died = died_;  // this may be gone before it returns
    died();
}

}  // namespace fmvm::lockstep

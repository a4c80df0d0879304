// SPDX-License-Identifier: Apache-2.0
#include "vmm/loop/readiness_watch.h"

#include <boost/asio/posix/stream_descriptor.hpp>

namespace fmvm {

namespace {

using Stream = boost::asio::posix::stream_descriptor;

}  // namespace

struct ReadinessWatch::Descriptor {
    Descriptor(EventLoop& loop, int fd) : stream(loop.context(), fd) {}
    Stream stream;
};

ReadinessWatch::ReadinessWatch(EventLoop& loop, UniqueFd fd, std::function<void()> handler)
    : handler_(std::make_shared<const std::function<void()>>(std::move(handler))),
      descriptor_(std::make_unique<Descriptor>(loop, fd.release())) {}

ReadinessWatch::~ReadinessWatch() = default;

int ReadinessWatch::fd() const {
    return descriptor_->stream.native_handle();
}

void ReadinessWatch::wait_to_read() {
    wait(Stream::wait_read, may_read_);
}

void ReadinessWatch::wait_to_write() {
    wait(Stream::wait_write, may_write_);
}

void ReadinessWatch::wait(int type, bool& may) {
    if (!std::exchange(may, false)) return;
    descriptor_->stream.async_wait(
        static_cast<Stream::wait_type>(type),
        tasks_.bind([this, &may](const boost::system::error_code& error) {
            if (error) return;
            may = true;
            const auto handler = handler_;
            (*handler)();
        }));
}

}  // namespace fmvm

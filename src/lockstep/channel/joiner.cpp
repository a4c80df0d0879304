// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/joiner.h"

#include <sys/socket.h>

#include "base/check.h"

namespace fmvm::lockstep {

// Nothing was sent before, so that it fits. Whoever is gone learns nothing.
template <typename Message>
void Joiner::answer(const Message& message) {
    FMVM_CHECK(socket_);
    const Body body = message.encode();
    const FrameHeader header = make_frame_header(Message::type, 0, body);
    Body frame(header.begin(), header.end());
    frame.insert(frame.end(), body.begin(), body.end());
    [[maybe_unused]] const ssize_t sent =
        ::send(socket_.get(), frame.data(), frame.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

UniqueFd Joiner::accept() {
    answer(JoinedMessage{});
    return std::move(socket_);
}

void Joiner::refuse(const std::string& why) {
    answer(RefuseMessage{why});
    socket_.reset();
}

}  // namespace fmvm::lockstep

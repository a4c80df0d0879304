// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/joiner.h"

#include <sys/socket.h>

#include "base/check.h"
#include "lockstep/wire/whole_frame.h"

namespace fmvm::lockstep {

// Nothing was sent before, so that it fits. Whoever is gone learns nothing.
template <typename Message>
void Joiner::answer(const Message& message) {
    FMVM_CHECK(socket_);
    const Body frame = whole_frame(message);
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

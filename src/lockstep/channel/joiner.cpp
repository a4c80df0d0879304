// SPDX-License-Identifier: Apache-2.0
#include "lockstep/channel/joiner.h"

#include "base/check.h"
#include "lockstep/wire/whole_frame.h"

namespace fmvm::lockstep {

// Nothing was sent before, so that it fits. Whoever is gone learns nothing.
template <typename Message>
void Joiner::answer(const Message& message) {
    FMVM_CHECK(transport_.fd() >= 0);
    transport_.write(whole_frame(message));
}

Transport Joiner::accept() {
    answer(JoinedMessage{});
    return std::move(transport_);
}

void Joiner::refuse(const std::string& why) {
    answer(RefuseMessage{why});
    transport_.close();
}

}  // namespace fmvm::lockstep

// SPDX-License-Identifier: Apache-2.0
#include "node/run/guest_end.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace fmvm::node {

std::function<void(GuestEnd)> tell_on(boost::asio::io_context& control, GuestEnding ending) {
    return [&control, ending = std::move(ending)](GuestEnd reason) {
        boost::asio::post(control, [ending, reason] { ending->happen(reason); });
    };
}

std::string describe_end(GuestEnd end) {
    switch (end) {
        case GuestEnd::power_off:
            return "the guest powered off";
        case GuestEnd::reset:
            return "the guest asked for a reset";
        case GuestEnd::crash:
            return "the guest crashed (triple fault)";
        case GuestEnd::unsupported:
            return "KVM could not go on with the guest";
        case GuestEnd::stopped:
            return "the guest was stopped";
    }
    return "the guest ended";
}

}  // namespace fmvm::node

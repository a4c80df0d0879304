// SPDX-License-Identifier: Apache-2.0
#include "lockstep/disks/serial_teller.h"

#include <utility>

#include "replay/resync/resync_messages.h"

namespace fmvm::lockstep {

OutgoingMessage SerialTeller::next() {
    for (Told& told : told_) {
        const std::uint64_t serial = told.map->serial();
        if (std::exchange(told.serial, serial) != serial)
            return {FrameType::disk_serial, replay::SerialMessage{told.disk, serial}.encode()};
    }
    return {};
}

}  // namespace fmvm::lockstep

// SPDX-License-Identifier: Apache-2.0
#include "vmm/board/layout.h"
#include "vmm/firmware/firmware.h"

namespace fmvm {

std::string virtio_command_line(unsigned virtio_devices) {
    FMVM_CHECK(virtio_devices <= layout::virtio_device_count_max);
    std::string line;
    for (unsigned i = 0; i < virtio_devices; ++i) {
        line += fmt::format("{}virtio_mmio.device={}K@{:#x}:{}", i == 0 ? "" : " ",
                            layout::virtio_mmio_stride / kib, layout::virtio_mmio(i).value(),
                            layout::virtio_irq(i));
    }
    return line;
}

}  // namespace fmvm

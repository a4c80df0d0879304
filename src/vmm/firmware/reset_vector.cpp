// SPDX-License-Identifier: Apache-2.0
#include "vmm/firmware/reset_vector.h"

namespace fmvm::firmware {

Bytes reset_vector_code() {
    Bytes code{0xb0, layout::acpi_reset_value};            // mov al, value
    append<std::uint8_t>(code, 0xba);                      // mov dx,
    append<std::uint16_t>(code, layout::acpi_reset_port);  // port
    append<std::uint8_t>(code, 0xee);                      // out dx, al
    append<std::uint8_t>(code, 0xf4);                      // hlt
    append<std::uint16_t>(code, 0xfdeb);                   // jmp to the hlt
    return code;
}

}  // namespace fmvm::firmware

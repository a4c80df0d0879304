// SPDX-License-Identifier: Apache-2.0
// Formats that hold a disk's contents in a container, told by what each such file begins or ends
// with. fmvm's own disks are raw, without any.
//
// What is told here is a guess: a guest writes what it likes to its raw disk. It serves to refuse,
// or to warn; nothing is ever opened in a format that was guessed.
//
// Sources: docs/interop of QEMU (qcow2, qed, parallels), VMware's Virtual Disk Format 5.0, MS-VHD,
// MS-VHDX, and VDICore.h of VirtualBox.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace fmvm {

// `first` and `last`: sectors of the file. The name is qemu-img's; nothing: it may be raw.
std::optional<std::string_view> container_format(std::span<const std::uint8_t> first,
                                                 std::span<const std::uint8_t> last);

}  // namespace fmvm

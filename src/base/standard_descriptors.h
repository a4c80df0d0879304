// SPDX-License-Identifier: Apache-2.0
// Descriptors 0 to 2 are open, so that no file of ours ever gets one of these numbers: what is
// meant for a closed standard error would be written into a disk image.
#pragma once

#include "base/result.h"

namespace fmvm {

// Opens /dev/null on those of the three that are closed. Only for reading: input ends at once, and
// output fails, as on a closed descriptor, so that nobody takes a lost report for a written one.
// A reader who goes away is an error of that write too, and no signal that ends the process. First
// thing in main, before any file is opened.
Result<void> prepare_standard_descriptors();

}  // namespace fmvm

// SPDX-License-Identifier: Apache-2.0
// Who may put something else into the place of a file of ours.
//
// Trusted are root, this process's own user and its own group. On a network file system owners are
// the server's, mapped or squashed to nobody, and tell nothing here; only what everybody may do
// counts there.
//
// Errors continue a sentence that begins with the file or directory. Any thread.
#pragma once

#include "base/result.h"

namespace fmvm {

// Of an open file or directory: it belongs to somebody who is trusted.
Result<void> check_owner(int fd);
// Of an open directory: nobody else may make, rename or remove what is in it. The sticky bit does
// not help: with it, too, others may make files that are not there yet.
Result<void> check_directory(int fd);

}  // namespace fmvm

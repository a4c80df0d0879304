// SPDX-License-Identifier: Apache-2.0
// What fmvm's exit status tells. Scripts depend on the numbers: never renumber.
// docs/cli.md and the text of --help (run_arguments.cpp) say the same.
#pragma once

namespace fmvm::cli {

enum class ExitStatus : int {
    ok = 0,             // the guest powered off; or the command did what it was asked
    failure = 1,        // fmvm itself failed: this host, KVM, setting up I/O
    usage = 2,          // bad usage or bad input: options, configuration, kernel, disk
    guest_reset = 3,    // the guest asked for a reset
    guest_crashed = 4,  // triple fault
    guest_stuck = 5,    // KVM could not go on with the guest (unsupported instruction, ...)
    operator_stop = 6,  // SIGTERM, SIGINT, SIGHUP or Ctrl-A x
    superseded = 7,     // another side runs the guest under a newer generation; this one halted
    backup_lost = 8,    // a primary that was told to stop without a backup has lost it
    different = 9,      // fmvm verify: primary and backup are not equal
};

constexpr int to_int(ExitStatus status) {
    return static_cast<int>(status);
}

}  // namespace fmvm::cli

// SPDX-License-Identifier: Apache-2.0
// The operator's terminal in raw mode while a machine uses it as its console.
//
// Raw: every key goes to the guest, Ctrl-C and Ctrl-Z too. Output processing stays on, so that our
// own lines on stderr still start at the left margin.
//
// Restored on every way out: by the destructor (return, exception), by atexit (exit from anywhere),
// and by handlers of the signals that end a process, which restore and let the signal do what it
// did before. SIGTERM, SIGINT and SIGHUP are among them unless they are handled already, to stop
// the machine in an orderly way (node/run/stop_request.h).
#pragma once

namespace fmvm::node {

// Whether fd is a terminal whose foreground belongs to another job: reading from it would stop this
// process (SIGTTIN), and its mode is that job's.
bool in_background_of(int fd);

// Takes raw mode back, if there is one. Async-signal-safe; the RawTerminal may still live.
void restore_terminal();

class RawTerminal {
  public:
    // Does nothing when fd is not a terminal, or we are in its background. One at a time in a
    // process: that is checked.
    explicit RawTerminal(int fd);
    ~RawTerminal();
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;
};

}  // namespace fmvm::node

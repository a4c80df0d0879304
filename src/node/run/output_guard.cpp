// SPDX-License-Identifier: Apache-2.0
#include "node/run/output_guard.h"

#include "lockstep/output/right_to_speak.h"

namespace fmvm::node {

namespace {

struct Guard {
    Guard(EventLoop& loop, const OutputRights& rights)
        : arbiter(loop, rights.arbiter, rights.generation),
          right(loop, arbiter, rights.pair,
                {.speak_from = rights.speak_from, .ending_valid_for = rights.lost_after / 2}) {}
    lockstep::OutputPermit arbiter;
    lockstep::RightToSpeak right;
};

}  // namespace

void guard_output(BuiltMachine& built, const OutputRights& rights) {
    const auto guard = std::make_shared<Guard>(built.machine->loop(), rights);
    guard->right.on_answer([console = built.console, gates = built.gates] {
        console->ask_again();
        for (lockstep::EpochGate* gate : gates)
            gate->ask_again();
    });
    built.console->require_permit(
        [guard](std::chrono::milliseconds patience) { return guard->right.ask(patience); });
    for (lockstep::EpochGate* gate : built.gates) {
        gate->require_permit([guard] {
            return guard->right.ask(std::chrono::milliseconds(0)) == ConsoleOutput::Permit::granted;
        });
    }
}

}  // namespace fmvm::node

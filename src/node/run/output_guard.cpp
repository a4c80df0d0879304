// SPDX-License-Identifier: Apache-2.0
#include "node/run/output_guard.h"

#include "lockstep/output/output_permit.h"

namespace fmvm::node {

void guard_output(BuiltMachine& built, std::shared_ptr<lockstep::Arbiter> arbiter,
                  std::function<lockstep::Generation()> generation,
                  std::chrono::milliseconds lost_after) {
    const auto permit = std::make_shared<lockstep::OutputPermit>(
        built.machine->loop(), std::move(arbiter), std::move(generation), lost_after / 2);
    permit->on_answer([console = built.console, gates = built.write_gates] {
        console->ask_again();
        for (lockstep::WriteGate* gate : gates)
            gate->ask_again();
    });
    built.console->require_permit(
        [permit](std::chrono::milliseconds patience) { return permit->ask(patience); });
    for (lockstep::WriteGate* gate : built.write_gates) {
        gate->require_permit([permit] {
            return permit->ask(std::chrono::milliseconds(0)) == ConsoleOutput::Permit::granted;
        });
    }
}

}  // namespace fmvm::node

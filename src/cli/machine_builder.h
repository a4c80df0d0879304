// SPDX-License-Identifier: Apache-2.0
// From options to a machine that is ready to start: the only place that names concrete devices.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/report/exit_status.h"
#include "devices/block/disk_image.h"
#include "devices/console/console_output.h"
#include "devices/console/serial.h"
#include "lockstep/output/console_gate.h"
#include "lockstep/output/write_gate.h"
#include "lockstep/wire/messages.h"
#include "node/config/machine_options.h"
#include "replay/archive/epoch_recorder.h"
#include "replay/capture/block_log.h"
#include "replay/image/dirty_block_map.h"
#include "vmm/machine/machine.h"

namespace fmvm::cli {

// A disk of which the other side has its own.
struct OwnDisk {
    std::string path;
    const DiskImage* image = nullptr;
    BlockBackend* backend = nullptr;  // what reaches the image, below recording and marks
    replay::DirtyBlockMap* map = nullptr;
};

// The parts of a built machine that the command around it talks to. The machine owns them.
struct BuiltMachine {
    std::unique_ptr<Machine> machine;
    Serial* serial = nullptr;
    ConsoleOutput* console = nullptr;
    // Of a machine that is protected, or waits to go on with a protected guest; open at first.
    lockstep::ConsoleGate* gate = nullptr;
    std::vector<lockstep::WriteGate*> write_gates;
    std::vector<const DiskImage*> disks;
    std::vector<OwnDisk> own_disks;             // all, or none
    replay::BlockLog* block_log = nullptr;      // of a machine with such disks, or a recorded one
    replay::EpochRecorder* recorder = nullptr;  // of one that is to be recorded
    std::string quirks;  // what was added to the kernel command line for this host
};

// What a machine is built for.
struct Purpose {
    enum class Kind {
        run,       // alone: no gates
        protect,   // as a primary: output passes through gates, disks are recorded
        stand_by,  // to go on with a protected guest; a shared disk is still its primary's
    };
    Kind kind = Kind::run;
    DirtyLogKind dirty_log = DirtyLogKind::none;
    lockstep::BlockMode block = lockstep::BlockMode::none;
    // Writes and flushes wait for their epoch's commit, whoever has the disk.
    bool hold_writes = false;
    lockstep::VmId vm{};  // whose guest it is
};

// The machine with its devices, kernel loaded, boot vCPU at the entry point; or, when no kernel is
// given, empty, for a state to be restored. On failure `status` says what the process is to exit
// with: the input or this host is to blame.
Result<BuiltMachine> build_machine(const Kvm& kvm, const node::MachineOptions& options,
                                   const Purpose& purpose, ExitStatus& status);

// The machine with its guest: at its kernel's entry point or, when a snapshot is given, where that
// guest stopped, with the snapshot's memory and CPUs and the options' devices. `status` as above.
Result<BuiltMachine> build_guest(const Kvm& kvm, const node::MachineOptions& options,
                                 const Purpose& purpose, ExitStatus& status);

// The console file of a guest that boots begins anew; of one that is restored it goes on. Right
// before the guest runs: a start that is refused has changed nothing.
void begin_console(const node::MachineOptions& options);

}  // namespace fmvm::cli

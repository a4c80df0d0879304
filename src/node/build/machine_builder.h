// SPDX-License-Identifier: Apache-2.0
// From options to a machine that is ready to start: the only place that names concrete devices.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "devices/block/block_device.h"
#include "devices/block/disk_image.h"
#include "devices/console/console_output.h"
#include "devices/console/serial.h"
#include "devices/net/announcer.h"
#include "devices/net/net_device.h"
#include "lockstep/input/packet_forwarder.h"
#include "lockstep/output/console_gate.h"
#include "lockstep/output/epoch_gate.h"
#include "lockstep/output/packet_gate.h"
#include "lockstep/wire/messages.h"
#include "node/config/machine_options.h"
#include "replay/archive/epoch_recorder.h"
#include "replay/capture/block_log.h"
#include "replay/image/dirty_block_map.h"
#include "vmm/machine/machine.h"

namespace fmvm::node {

// A disk of which the other side of a protected guest has its own.
struct OwnDisk {
    std::string path;
    const DiskImage* image = nullptr;
    BlockBackend* backend = nullptr;  // reaches the image past recording and marks
    replay::DirtyBlockMap* map = nullptr;
};

// A network card, and what tells its network that the guest is here.
struct NetCard {
    NetDevice* device = nullptr;
    NetBackend* backend = nullptr;         // past its gate
    lockstep::PacketGate* gate = nullptr;  // null as BuiltMachine::gate
    Announcer* announcer = nullptr;
};

// A machine, and those of its parts that whoever runs it talks to. The machine owns the parts.
struct BuiltMachine {
    std::unique_ptr<Machine> machine;
    Serial* serial = nullptr;
    ConsoleOutput* console = nullptr;
    // Null unless the machine is protected, or waits for a protected guest. It is open at first.
    lockstep::ConsoleGate* gate = nullptr;
    std::vector<lockstep::EpochGate*> gates;  // of disks and network cards
    std::vector<NetCard> nets;
    lockstep::PacketForwarder* packets = nullptr;  // of the cards; null as `gate`
    std::vector<const DiskImage*> disks;
    std::vector<const BlockDevice*> block_devices;  // of the disks, in their order
    std::vector<OwnDisk> own_disks;                 // all of the disks, or none
    replay::BlockLog* block_log = nullptr;      // null unless there are own disks, or a recorder
    replay::EpochRecorder* recorder = nullptr;  // null unless the machine is to be recorded
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

// Builds the machine with its devices. If a kernel is given it is loaded and the boot vCPU stands
// at its entry point; otherwise a state must be restored. An error says whether the input or this
// host is to blame.
Result<BuiltMachine> build_machine(const Kvm& kvm, const MachineOptions& options,
                                   const Purpose& purpose);

// Builds the machine with its guest: at its kernel's entry point or, if a snapshot is given, where
// that guest stopped, with the snapshot's memory and CPUs and the options' devices.
Result<BuiltMachine> build_guest(const Kvm& kvm, const MachineOptions& options,
                                 const Purpose& purpose);

// Empties the console file of a guest that boots; that of a restored guest goes on. To be called
// right before the guest runs, so that a start that is refused has changed nothing.
void begin_console(const BuiltMachine& built, const MachineOptions& options);

// That a console file cannot be written to is better known before the machine is built. Makes the
// file.
Result<void> check_console(const ConsoleOptions& console);

}  // namespace fmvm::node

# SPDX-License-Identifier: Apache-2.0
"""Runs inside a virtual host: keeps two virtual machines that never run, for as long as it lives.

The first machine of KVM, and the end of the last one, have Linux patch the code of its scheduler while
all CPUs run it (static keys: preempt_notifier_key in kvm_create_vm, kvm_has_noapic_vcpu,
apic_sw_disabled). QEMU before 8.1 may go on executing what it had translated just before the patch: an
int3, for ever, with interrupts off, and the host hangs. With these two machines the keys never change
again.
"""

import fcntl
import os
import signal

KVM_CREATE_VM, KVM_CREATE_VCPU, KVM_CREATE_IRQCHIP = 0xAE01, 0xAE41, 0xAE60


def keep(kvm, in_kernel_irqchip):
    vm = fcntl.ioctl(kvm, KVM_CREATE_VM, 0)
    if in_kernel_irqchip:
        fcntl.ioctl(vm, KVM_CREATE_IRQCHIP, 0)
    return vm, fcntl.ioctl(vm, KVM_CREATE_VCPU, 0)


if __name__ == "__main__":
    device = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    kept = [keep(device, True), keep(device, False)]
    print("kept", flush=True)
    signal.pause()

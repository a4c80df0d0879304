// SPDX-License-Identifier: Apache-2.0
// The /dev/kvm system handle: API version, capabilities, supported CPUID, new VMs.
// Source of every ioctl: Documentation/virt/kvm/api.rst of Linux.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "vmm/kvm/kvm_api.h"

namespace fmvm {

// ioctl() that retries EINTR; returns -1 with errno as the system call left it.
int retry_ioctl(int fd, unsigned long request, void* argument);
int retry_ioctl(int fd, unsigned long request, unsigned long argument);

class Kvm {
  public:
    // Fails with a sentence that names the remedy: no device, no permission, wrong API version.
    static Result<Kvm> open(const std::string& path = "/dev/kvm");

    // The value of KVM_CHECK_EXTENSION: 0 when absent.
    int extension(int capability) const;
    Result<UniqueFd> create_vm() const;
    Result<std::vector<kvm_cpuid_entry2>> supported_cpuid() const;
    // The MSRs that make up a vCPU's state (KVM_GET_MSR_INDEX_LIST).
    Result<std::vector<std::uint32_t>> msr_indices() const;
    // Bytes to map for struct kvm_run and the pages behind it.
    std::size_t vcpu_mmap_size() const { return vcpu_mmap_size_; }
    int fd() const { return fd_.get(); }

  private:
    Kvm(UniqueFd fd, std::size_t vcpu_mmap_size)
        : fd_(std::move(fd)), vcpu_mmap_size_(vcpu_mmap_size) {}

    UniqueFd fd_;
    std::size_t vcpu_mmap_size_;
};

}  // namespace fmvm

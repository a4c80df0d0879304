// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/kvm.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include "vmm/kvm/kvm_list.h"

namespace fmvm {

int retry_ioctl(int fd, unsigned long request, void* argument) {
    int result;
    do {
        result = ::ioctl(fd, request, argument);
    } while (result < 0 && errno == EINTR);
    return result;
}

int retry_ioctl(int fd, unsigned long request, unsigned long argument) {
    int result;
    do {
        result = ::ioctl(fd, request, argument);
    } while (result < 0 && errno == EINTR);
    return result;
}

namespace {

Error open_error(int error_number, const std::string& path) {
    switch (error_number) {
        case ENOENT:
        case ENODEV:
        case ENXIO:
            return make_error(
                "{}: no KVM on this host; load the module (modprobe kvm_intel or kvm_amd) or "
                "enable virtualisation in the firmware",
                path);
        case EACCES:
        case EPERM:
            return make_error(
                "{}: permission denied; add this user to the group that owns it (usermod -aG kvm "
                "USER) and log in again",
                path);
        default:
            return errno_error(error_number, "cannot open " + path);
    }
}

}  // namespace

Result<Kvm> Kvm::open(const std::string& path) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd) return open_error(errno, path);
    const int version = retry_ioctl(fd.get(), KVM_GET_API_VERSION, 0UL);
    if (version < 0) return make_error("{} is not a KVM device; give the real one", path);
    if (version != KVM_API_VERSION) {
        return make_error("{}: KVM API version {} found, {} needed; update the host kernel", path,
                          version, KVM_API_VERSION);
    }
    const int size = retry_ioctl(fd.get(), KVM_GET_VCPU_MMAP_SIZE, 0UL);
    if (size < static_cast<int>(sizeof(kvm_run))) {
        return errno_error(errno, "KVM_GET_VCPU_MMAP_SIZE failed");
    }
    return Kvm(std::move(fd), static_cast<std::size_t>(size));
}

int Kvm::extension(int capability) const {
    const int value =
        retry_ioctl(fd_.get(), KVM_CHECK_EXTENSION, static_cast<unsigned long>(capability));
    return value < 0 ? 0 : value;
}

Result<UniqueFd> Kvm::create_vm() const {
    UniqueFd vm(retry_ioctl(fd_.get(), KVM_CREATE_VM, 0UL));
    if (!vm) return errno_error(errno, "KVM_CREATE_VM failed");
    return vm;
}

Result<std::vector<kvm_cpuid_entry2>> Kvm::supported_cpuid() const {
    for (std::size_t entries = 128; entries <= 4096; entries *= 2) {
        KvmList<kvm_cpuid2, kvm_cpuid_entry2> list(entries);
        if (retry_ioctl(fd_.get(), KVM_GET_SUPPORTED_CPUID, list.get()) == 0) {
            const auto found = list.entries();
            return std::vector<kvm_cpuid_entry2>(found.begin(), found.end());
        }
        if (errno != E2BIG) return errno_error(errno, "KVM_GET_SUPPORTED_CPUID failed");
    }
    return Error("KVM_GET_SUPPORTED_CPUID returns more than 4096 entries");
}

Result<std::vector<std::uint32_t>> Kvm::msr_indices() const {
    KvmList<kvm_msr_list, std::uint32_t> size(0);
    // The first call fails with E2BIG, by design, and tells how many there are.
    if (retry_ioctl(fd_.get(), KVM_GET_MSR_INDEX_LIST, size.get()) != 0 && errno != E2BIG)
        return errno_error(errno, "KVM_GET_MSR_INDEX_LIST failed");
    KvmList<kvm_msr_list, std::uint32_t> list(size.count());
    if (retry_ioctl(fd_.get(), KVM_GET_MSR_INDEX_LIST, list.get()) != 0)
        return errno_error(errno, "KVM_GET_MSR_INDEX_LIST failed");
    const auto found = list.entries();
    return std::vector<std::uint32_t>(found.begin(), found.end());
}

}  // namespace fmvm

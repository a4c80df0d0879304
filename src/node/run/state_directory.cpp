// SPDX-License-Identifier: Apache-2.0
#include "node/run/state_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/byte_codec.h"
#include "base/digest.h"
#include "base/durable_file.h"

namespace fmvm::node {

namespace {

constexpr const char* record_name = "/generation";
constexpr std::size_t record_size = 16 + 8 + 8;

Error directory_error(int error_number, const std::string& path, std::string_view what) {
    return errno_error(error_number, fmt::format("--dir {}: {}", path, what));
}

}  // namespace

Result<StateDirectory> StateDirectory::open(const std::string& path) {
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
        if (errno == ENOENT)
            return make_error("--dir {}: there is nothing to make it in; make that first", path);
        return directory_error(errno, path, "cannot be made");
    }
    UniqueFd lock(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!lock) return directory_error(errno, path, "cannot be opened");
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
        return make_error("--dir {}: is in use by another backup; give each its own", path);
    }
    if (::faccessat(lock.get(), ".", W_OK, AT_EACCESS) != 0)
        return directory_error(errno, path, "cannot be written");
    StateDirectory directory(path, std::move(lock));
    FMVM_TRY(directory.read());
    return directory;
}

Result<void> StateDirectory::read() {
    const std::string path = path_ + record_name;
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd && errno == ENOENT) return {};
    if (!fd) return directory_error(errno, path, "cannot be read");
    std::vector<std::uint8_t> bytes(record_size + 1);
    const ssize_t length = ::read(fd.get(), bytes.data(), bytes.size());
    if (length < 0) return directory_error(errno, path, "cannot be read");
    bytes.resize(static_cast<std::size_t>(length));
    ByteReader in(bytes);
    Known known;
    const auto vm = in.raw(known.vm.size());
    std::copy(vm.begin(), vm.end(), known.vm.begin());
    known.generation = in.u64();
    const std::uint64_t digest = in.u64();
    if (!in.done() || digest != digest_of(std::span(bytes).first(record_size - 8)))
        return make_error("--dir {}: its file 'generation' is damaged; give an empty directory",
                          path_);
    known_ = known;
    return {};
}

Result<void> StateDirectory::check(const lockstep::VmId& vm,
                                   lockstep::Generation generation) const {
    if (!known_) return {};
    if (known_->vm != vm)
        return make_error("this backup's directory {} is for another guest; give an empty one",
                          path_);
    if (generation < known_->generation) {
        return make_error(
            "generation {} was overtaken by {}, which this backup has met: another side went on "
            "with the guest since; start this one as that side's backup",
            generation, known_->generation);
    }
    return {};
}

Result<void> StateDirectory::record(const lockstep::VmId& vm, lockstep::Generation generation) {
    ByteWriter out;
    out.raw(vm);
    out.u64(generation);
    out.u64(digest_of(out.bytes()));
    const std::string path = path_ + record_name;
    DurableFile file =
        FMVM_TRY(DurableFile::create(path, DurableFile::Draft::fixed, 0600, directory_error));
    FMVM_TRY(file.write(out.bytes()));
    FMVM_TRY(file.replace());
    known_ = Known{vm, generation};
    return {};
}

}  // namespace fmvm::node

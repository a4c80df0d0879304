// SPDX-License-Identifier: Apache-2.0
#include "devices/block/disk_image.h"

#include <signal.h>
#include <sys/fsuid.h>
#include <sys/wait.h>

#include <bit>
#include <catch2/catch.hpp>
#include <thread>

#include "base/units.h"
#include "support/temp_file.h"

using namespace fmvm;
using namespace fmvm::test;

namespace {

using std::chrono::milliseconds;

// Nobody's last I/O is waited for.
const DiskImage::Options writable{.lock_wait = milliseconds(0)};
const DiskImage::Options read_only{.read_only = true, .lock_wait = milliseconds(0)};
const DiskImage::Options direct{.direct = true};

std::string refusal(const std::string& path, const DiskImage::Options& options = writable) {
    const auto image = DiskImage::open(path, options);
    return image.ok() ? "opened" : image.error().message();
}

// This thread's file accesses are those of an ordinary user, root or not.
class OrdinaryUser {
  public:
    OrdinaryUser() : before_(static_cast<uid_t>(::setfsuid(65534))) {}
    ~OrdinaryUser() { ::setfsuid(before_); }

  private:
    uid_t before_;
};

}  // namespace

TEST_CASE("disk image: opened and measured", "[disk]") {
    const TempFile file(1 * mib);
    const auto image = DiskImage::open(file.path(), writable);
    REQUIRE(image.ok());
    CHECK(image.value().size == 1 * mib);
    CHECK(image.value().block_size == 512);
    CHECK(image.value().memory_alignment == 1);
    CHECK_FALSE(image.value().read_only);
    CHECK((::fcntl(image.value().fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("disk image: io_uring may wait for it", "[disk]") {
    // With O_NONBLOCK, file systems that cannot do I/O without waiting would answer EAGAIN for
    // ever.
    const TempFile file(512);
    const auto image = DiskImage::open(file.path(), writable);
    REQUIRE(image.ok());
    CHECK((::fcntl(image.value().fd.get(), F_GETFL) & O_NONBLOCK) == 0);
}

TEST_CASE("disk image: what cannot be a disk is refused in one sentence", "[disk]") {
    const TempFile file(512);
    const std::string path = file.path();
    CHECK(refusal(path + "-missing") == "disk " + path +
                                            "-missing: no such file; create it (truncate -s 1G " +
                                            path + "-missing) or correct path=");
    CHECK(refusal("/tmp") == "disk /tmp: is a directory; give an image file or a block device");
    CHECK(refusal("/tmp", read_only) ==
          "disk /tmp: is a directory; give an image file or a block device");
    CHECK(refusal("/dev/null") == "disk /dev/null: is neither a file nor a block device");
    CHECK(refusal(path + "/x") == "disk " + path + "/x: cannot be opened: Not a directory");
    CHECK(refusal("").find("disk : ") == 0);
}

TEST_CASE("disk image: a FIFO neither hangs nor opens", "[disk]") {
    const TempFile file;
    const std::string path = file.path() + "-fifo";
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    CHECK(refusal(path) == "disk " + path + ": is neither a file nor a block device");
    CHECK(refusal(path, read_only) == "disk " + path + ": is neither a file nor a block device");
    ::unlink(path.c_str());
}

TEST_CASE("disk image: sizes that are no disk", "[disk]") {
    TempFile file(0);
    CHECK(refusal(file.path()) == "disk " + file.path() + ": is empty; give it a size (truncate " +
                                      "-s 1G " + file.path() + ")");
    file.resize(1000);
    CHECK(refusal(file.path()) == "disk " + file.path() +
                                      ": its size of 1000 bytes is not a multiple of 512; extend "
                                      "it (truncate -s %512 " +
                                      file.path() + ")");
    file.resize(1024);
    CHECK(refusal(file.path()) == "opened");
}

TEST_CASE("disk image: one writer at a time", "[disk]") {
    const TempFile file(512);
    const std::string in_use =
        "disk " + file.path() + ": in use by another virtual machine; stop that one first";
    {
        const auto first = DiskImage::open(file.path(), writable);
        REQUIRE(first.ok());
        CHECK(refusal(file.path()) == in_use);
        CHECK(refusal(file.path(), read_only) == in_use);
    }
    CHECK(refusal(file.path()) == "opened");  // the lock went with the first
}

TEST_CASE("disk image: a successor waits a little for the lock", "[disk][threads]") {
    const TempFile file(512);
    auto first = DiskImage::open(file.path(), writable);
    REQUIRE(first.ok());
    std::thread owner([&] {
        std::this_thread::sleep_for(milliseconds(20));
        first.value().unlock();
    });
    CHECK(DiskImage::open(file.path(), {}).ok());
    owner.join();
}

TEST_CASE("disk image: opened without the lock, takes it when the other has let go", "[disk]") {
    const TempFile file(512);
    const auto first = DiskImage::open(file.path(), writable);
    REQUIRE(first.ok());
    const auto second = DiskImage::open(file.path(), {.lock = false});
    REQUIRE(second.ok());
    CHECK_FALSE(second.value().try_lock().value());
    first.value().unlock();
    CHECK(second.value().try_lock().value());
    CHECK_FALSE(first.value().try_lock().value());
}

TEST_CASE("disk image: readers share, and keep writers out", "[disk]") {
    const TempFile file(512);
    const auto first = DiskImage::open(file.path(), read_only);
    const auto second = DiskImage::open(file.path(), read_only);
    CHECK(first.ok());
    CHECK(second.ok());
    CHECK(first.value().read_only);
    CHECK(refusal(file.path()).find("in use by another virtual machine") != std::string::npos);
}

TEST_CASE("disk image: a lock that another process lets go by dying", "[disk]") {
    const TempFile file(512);
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        const auto image = DiskImage::open(file.path(), writable);
        const char answer = image.ok() ? 'y' : 'n';
        static_cast<void>(!::write(ready[1], &answer, 1));
        ::pause();
        ::_exit(0);
    }
    char answer = 0;
    REQUIRE(::read(ready[0], &answer, 1) == 1);
    CHECK(answer == 'y');
    CHECK(refusal(file.path()).find("in use") != std::string::npos);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    CHECK(refusal(file.path(), {}) == "opened");
    ::close(ready[0]);
    ::close(ready[1]);
}

TEST_CASE("disk image: a file that may only be read", "[disk]") {
    const TempFile file(512);
    REQUIRE(::chmod(file.path().c_str(), 0444) == 0);
    const OrdinaryUser user;
    CHECK(refusal(file.path()) == "disk " + file.path() +
                                      ": cannot be opened for writing (Permission denied); add "
                                      "readonly or change its permissions");
    CHECK(refusal(file.path(), read_only) == "opened");
}

TEST_CASE("disk image: a file that may not even be read", "[disk]") {
    const TempFile file(512);
    REQUIRE(::chmod(file.path().c_str(), 0000) == 0);
    const OrdinaryUser user;
    CHECK(refusal(file.path(), read_only) ==
          "disk " + file.path() + ": cannot be opened: Permission denied");
}

TEST_CASE("disk image: direct I/O asks for aligned buffers", "[disk]") {
    const TempFile file(1 * mib);
    const auto image = DiskImage::open(file.path(), direct);
    if (!image.ok()) {  // where TMPDIR cannot do it at all
        CHECK(image.error().message() ==
              "disk " + file.path() +
                  ": its file system does not support direct I/O; leave out direct");
        return;
    }
    CHECK(std::has_single_bit(image.value().block_size));
    CHECK(image.value().block_size >= 512);
    CHECK(std::has_single_bit(image.value().memory_alignment));
    CHECK(image.value().memory_alignment <= page_size);
    CHECK((::fcntl(image.value().fd.get(), F_GETFL) & O_DIRECT) != 0);
}

TEST_CASE("disk image: a file system without direct I/O", "[disk]") {
    CHECK(refusal("/proc/version", {.read_only = true, .direct = true}) ==
          "disk /proc/version: its file system does not support direct I/O; leave out direct");
}

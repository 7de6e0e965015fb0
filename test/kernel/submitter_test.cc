// What a submitter does with an area that somebody else has written to. The test is the kernel: the
// device is a socket, from which it reads what was asked for.
#include "kernel/submitter.h"

#include <doctest/doctest.h>
#include <linux/dlm.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "kernel/kernel_thread_id.h"

namespace stackglue::kernel::test {
namespace {

class Device {
 public:
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device() {
    close(pair_.ends[0]);
    close(pair_.ends[1]);
    close(signal_);
  }

  // A sound request, to be spoilt.
  SubmitRequest& Next(Operation operation) {
    SubmitRequest& request = area_->requests[area_->requests_put.load() % SubmitArea::kSlots];
    request = {};
    request.operation = operation;
    request.cookie = {1, 1};
    if (operation == Operation::kPurge) {
      request.request.EncodePurge(0, 0);
    } else if (operation == Operation::kUnlock || operation == Operation::kCancel) {
      const uint32_t flags = operation == Operation::kCancel ? DLM_LKF_CANCEL : 0;
      request.request.EncodeUnlock(request.cookie, flags, nullptr);
    } else {
      request.request.EncodeLock(request.cookie, DLM_LOCK_EX, 0, 0, "name");
    }
    return request;
  }

  // Makes it, and tells whether it has reached the kernel.
  bool IsMade() {
    area_->requests_put.fetch_add(1);
    CHECK(!submitter_.ServeOnce());
    char bytes[1024];
    return recv(pair_.ends[1], bytes, sizeof bytes, 0) > 0;
  }

  // Of the last one that was refused.
  int Refusal() const {
    return area_->answers[(area_->answers_put.load() - 1) % SubmitArea::kSlots].status;
  }
  uint32_t answers() const { return area_->answers_put.load(); }

 private:
  struct Pair {
    Pair() { socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends); }
    int ends[2] = {-1, -1};
  };

  const Pair pair_;
  const int signal_ = eventfd(0, EFD_NONBLOCK);
  std::unique_ptr<SubmitArea> area_ = std::make_unique<SubmitArea>();
  Submitter submitter_{area_.get(), pair_.ends[0], signal_};
};

}  // namespace

TEST_CASE("submitter: makes a sound request") {
  Device device;
  device.Next(Operation::kLock);
  CHECK(device.IsMade());
  CHECK(device.answers() == 0);
}

TEST_CASE("submitter: knows a lock by its id until the loop does, or until it is unlocked") {
  for (const uint32_t known : {0u, 7u}) {
    Device device;
    device.Next(Operation::kLock);
    CHECK(device.IsMade());
    device.Next(Operation::kUnlock).lock_id = known;
    CHECK(device.IsMade());
    CHECK(device.answers() == 0);
    device.Next(Operation::kUnlock);
    CHECK(!device.IsMade());
    CHECK(device.Refusal() == -ENOENT);
  }
}

TEST_CASE("submitter: keeps no id of a lock whose request was cancelled") {
  Device device;
  device.Next(Operation::kLock);
  CHECK(device.IsMade());
  device.Next(Operation::kCancel);
  CHECK(device.IsMade());
  device.Next(Operation::kUnlock);
  CHECK(!device.IsMade());
  CHECK(device.Refusal() == -ENOENT);
}

TEST_CASE("submitter: refuses an index that no lock has") {
  for (const uint32_t index : {SubmitArea::kIndexMax, 0x7fffffffu, 0xffffffffu}) {
    Device device;
    device.Next(Operation::kLock).cookie.index = index;
    CHECK(!device.IsMade());
    CHECK(device.Refusal() == -EINVAL);
  }
}

TEST_CASE("submitter: sends no more than the request, and no less than its head") {
  for (const uint32_t size : {0u, 8u, static_cast<uint32_t>(sizeof(dlm_write_request)) - 1,
                              static_cast<uint32_t>(sizeof(Request::bytes)) + 1, 0xffffffffu}) {
    Device device;
    device.Next(Operation::kLock).request.size = size;
    CHECK(!device.IsMade());
    CHECK(device.Refusal() == -EINVAL);
  }
}

TEST_CASE("submitter: makes only what the operation says") {
  for (const int command : {DLM_USER_CREATE_LOCKSPACE, DLM_USER_REMOVE_LOCKSPACE, DLM_USER_UNLOCK,
                            DLM_USER_PURGE, 0, 255}) {
    Device device;
    device.Next(Operation::kLock).request.bytes[offsetof(dlm_write_request, cmd)] =
        static_cast<char>(command);
    CHECK(!device.IsMade());
    CHECK(device.Refusal() == -EINVAL);
  }
  Device device;
  device.Next(Operation::kNone);
  CHECK(!device.IsMade());
  CHECK(device.Refusal() == -EINVAL);
}

TEST_CASE("submitter: purges no process that may be its own") {
  Device device;
  SubmitRequest& all = device.Next(Operation::kPurge);
  all.purges_this_node = true;
  // A ticket, of which there are more than locks.
  all.cookie.index = 0x7fffffff;
  CHECK(device.IsMade());

  const bool sees = SeesKernelsPids();
  SubmitRequest& own = device.Next(Operation::kPurge);
  own.purges_this_node = true;
  own.purged_pid = gettid();
  CHECK(!device.IsMade());
  CHECK(device.Refusal() == (sees ? -EINVAL : -EOPNOTSUPP));

  SubmitRequest& other = device.Next(Operation::kPurge);
  other.purges_this_node = true;
  other.purged_pid = gettid() + 1;
  CHECK(device.IsMade() == sees);
}

}  // namespace stackglue::kernel::test

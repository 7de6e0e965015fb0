// The turn of creating a lockspace on this node, or giving one up, among all keepers.
//
// The kernel does not take turns when it registers the device of a lockspace that two processes
// create at once: the second fails with EEXIST, and takes the name of the first one's device with
// it (fs/dlm/user.c:dlm_device_register). And libdlm removes the name of a device when the kernel
// has let the lockspace go already, by when it may be that of the next one.
//
// Threads: one, that made it.
#ifndef STACKGLUE_NATIVE_KEEPER_CREATION_TURN_H_
#define STACKGLUE_NATIVE_KEEPER_CREATION_TURN_H_

#include <functional>
#include <string>
#include <thread>

namespace stackglue::keeper {

class CreationTurn {
 public:
  // Waits for it. `control_device` is a path; without that device there is no turn.
  explicit CreationTurn(const std::string& control_device);
  CreationTurn(const CreationTurn&) = delete;
  CreationTurn& operator=(const CreationTurn&) = delete;
  // Leaves errno as it is.
  ~CreationTurn();

  // Has it end as soon as `is_done` says so, which a thread asks now and then: libdlm goes on
  // waiting for udev when the kernel has done its part.
  void EndWhen(std::function<bool()> is_done);

 private:
  const int fd_;
  std::jthread watcher_;
};

}  // namespace stackglue::keeper

#endif  // STACKGLUE_NATIVE_KEEPER_CREATION_TURN_H_

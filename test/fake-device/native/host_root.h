// Leads what native/util/host_path.h names into the folder of a fake machine. Every file of the
// addon and the keeper of test/fake-device/build.mjs is compiled with this in front. And has a
// keeper be given what the doubles and the sanitizers go by.
#ifndef STACKGLUE_TEST_FAKE_DEVICE_HOST_ROOT_H_
#define STACKGLUE_TEST_FAKE_DEVICE_HOST_ROOT_H_

#include <cstdlib>

namespace stackglue::fake_device {

// Asked for once, because whoever sets an environment variable meanwhile may move them all.
inline const char* const host_root = std::getenv("STACKGLUE_FAKE_MACHINE");

}  // namespace stackglue::fake_device

#define STACKGLUE_HOST_ROOT \
  (::stackglue::fake_device::host_root ? ::stackglue::fake_device::host_root : "")

#define STACKGLUE_KEEPER_VARIABLES                                                         \
  "STACKGLUE_FAKE_MACHINE", "LD_PRELOAD", "ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS", \
      "TSAN_OPTIONS"

#endif  // STACKGLUE_TEST_FAKE_DEVICE_HOST_ROOT_H_

// The way to what the kernel shows as files: configfs, sysfs, procfs, devices.
//
// A build for tests defines STACKGLUE_HOST_ROOT, an expression of type const char*, and so leads
// all of them into a folder of its own (test/fake-device). Everywhere else it is empty.
#ifndef STACKGLUE_NATIVE_UTIL_HOST_PATH_H_
#define STACKGLUE_NATIVE_UTIL_HOST_PATH_H_

#include <string>
#include <string_view>

#ifndef STACKGLUE_HOST_ROOT
#define STACKGLUE_HOST_ROOT ""
#endif

namespace stackglue {

// Where the kernel's file of that absolute path is.
inline std::string HostPath(std::string_view path) {
  return std::string(STACKGLUE_HOST_ROOT).append(path);
}

}  // namespace stackglue

#endif  // STACKGLUE_NATIVE_UTIL_HOST_PATH_H_
